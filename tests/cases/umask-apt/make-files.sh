set -e
cd "$(dirname "$0")"
umask 022
mkdir -p repo p/DEBIAN p/usr/share/case-open/inner
chmod -R 755 p
printf '%s\n' 'Package: case-open' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: open' > p/DEBIAN/control
echo open > p/usr/share/case-open/inner/word
printf '%s\n' '#!/bin/sh' 'mkdir /usr/share/case-open/made && touch /usr/share/case-open/made/file' > p/DEBIAN/postinst
chmod 755 p/DEBIAN/postinst
dpkg-deb --root-owner-group -b p repo/case-open.deb
rm -r p
{ dpkg-deb -f repo/case-open.deb; echo 'Filename: ./case-open.deb'; echo "Size: $(stat -c %s repo/case-open.deb)"
  echo "SHA256: $(sha256sum repo/case-open.deb | cut -d' ' -f1)"; } > repo/Packages
