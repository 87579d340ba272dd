set -e
cd "$(dirname "$0")"
# stand-ins for what dkms requires, so that no compiler is fetched
mkdir -p tools/DEBIAN tools/usr/bin
printf '%s\n' 'Package: case-tools' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: stand-ins' \
    'Provides: c-compiler, make, build-essential, gcc, dctrl-tools, dpkg-dev, lsb-release, patch' > tools/DEBIAN/control
for program in make gcc; do printf '#!/bin/sh\nexit 0\n' > tools/usr/bin/$program; chmod 755 tools/usr/bin/$program; done
dpkg-deb --root-owner-group -b tools case-tools.deb
mkdir -p source/DEBIAN source/usr/src/case-1
printf '%s\n' 'Package: case-dkms' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: a module' \
    'Depends: dkms' > source/DEBIAN/control
printf '%s\n' 'PACKAGE_NAME=case' 'PACKAGE_VERSION=1' 'BUILT_MODULE_NAME[0]=case' 'DEST_MODULE_LOCATION[0]=/updates/dkms' \
    'MAKE[0]="cp module case.ko"' 'CLEAN=true' 'AUTOINSTALL=yes' > source/usr/src/case-1/dkms.conf
echo module > source/usr/src/case-1/module
printf '%s\n' '#!/bin/sh' 'set -e' '/usr/lib/dkms/common.postinst case 1' > source/DEBIAN/postinst
chmod 755 source/DEBIAN/postinst
dpkg-deb --root-owner-group -b source case-dkms.deb
rm -r tools source
