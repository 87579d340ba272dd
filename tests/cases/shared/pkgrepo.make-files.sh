# A signed repository with case-hello, and the key by which it is signed in place of the case's own, whose private half nobody has.
set -e
cd "$(dirname "$0")"
mkdir -p home served p/DEBIAN p/usr/share/case-hello
chmod 700 home
printf '%s\n' 'Package: case-hello' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: hello' > p/DEBIAN/control
echo hello > p/usr/share/case-hello/text
dpkg-deb --root-owner-group -b p served/case-hello.deb
cd served
{
    dpkg-deb -f case-hello.deb
    printf '%s\n' 'Filename: ./case-hello.deb' "Size: $(stat -c %s case-hello.deb)" "SHA256: $(sha256sum case-hello.deb | cut -d' ' -f1)"
} > Packages
{
    printf '%s\n' 'Origin: case' "Date: $(LC_ALL=C date -Ru)" 'Architectures: all amd64' 'SHA256:'
    echo " $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages"
} > Release
export GNUPGHOME=$PWD/../home
gpg -q --batch --passphrase '' --quick-generate-key 'case <u@example.org>' rsa2048 sign never
gpg -q --batch --clearsign -o InRelease Release
gpg -q --batch --export > key.gpg
gpg -q --batch --armor --export > ../key.asc
gpgconf --kill gpg-agent
