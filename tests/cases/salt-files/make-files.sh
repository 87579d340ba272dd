set -e
cd "$(dirname "$0")"
mkdir -p work/tool/bin work/p/DEBIAN work/p/usr/share/case-packed
printf '#!/bin/sh\necho tool\n' > work/tool/bin/tool
chmod 755 work/tool/bin/tool
ln -s bin/tool work/tool/current
tar -C work -czf tool.tar.gz tool
sha256sum tool.tar.gz > tool.sums
python3 -c 'import zipfile; zipfile.ZipFile("tool.zip", "w").write("work/tool/bin/tool", "tool/bin/tool")'
printf '%s\n' 'Package: case-packed' 'Version: 2' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: p' > work/p/DEBIAN/control
echo packed > work/p/usr/share/case-packed/word
dpkg-deb --root-owner-group -b work/p packed.deb
rm -r work
sha256sum tool.* packed.deb script.sh > ../sums
