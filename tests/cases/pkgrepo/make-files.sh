set -e
cd "$(dirname "$0")"
mkdir -p repo p/DEBIAN p/usr/share/case-brought
printf '%s\n' 'Package: case-brought' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: brought' > p/DEBIAN/control
echo brought > p/usr/share/case-brought/word
dpkg-deb --root-owner-group -b p repo/case-brought_1_all.deb
cd repo
size=$(stat -c %s case-brought_1_all.deb) sum=$(sha256sum case-brought_1_all.deb | cut -d' ' -f1)
printf '%s\n' 'Package: case-brought' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: brought' \
    'Filename: ./case-brought_1_all.deb' "Size: $size" "SHA256: $sum" '' > Packages
{
    printf '%s\n' 'Origin: case' 'Label: case' 'Suite: stable' "Date: $(LC_ALL=C date -Ru)" 'Architectures: all amd64 arm64' 'SHA256:'
    echo " $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages"
} > Release
GNUPGHOME=$(mktemp -d /tmp/g-XXXX)  # 108 bytes are the longest path of a socket
export GNUPGHOME
trap 'rm -rf "$GNUPGHOME"' EXIT
gpg -q --batch --passphrase '' --quick-generate-key 'case <u@example.org>' rsa2048 sign never
gpg -q --batch --clearsign -o InRelease Release
gpg -q --batch --armor --export > ../key.asc
gpgconf --kill gpg-agent
cd ..
rm -r p
