set -e
cd "$(dirname "$0")"
mkdir -p p/DEBIAN
printf '%s\n' 'Package: case-asks' 'Version: 1' 'Architecture: all' 'Maintainer: u <u@example.org>' 'Description: asks' 'Depends: debconf' > p/DEBIAN/control
printf '%s\n' 'Template: case-asks/layout' 'Type: string' 'Default: us' 'Description: layout' > p/DEBIAN/templates
printf '%s\n' '#!/bin/sh' '. /usr/share/debconf/confmodule' 'db_input high case-asks/layout || true' 'db_go || true' > p/DEBIAN/config
printf '%s\n' '#!/bin/sh' '. /usr/share/debconf/confmodule' 'db_get case-asks/layout' 'echo "layout=$RET" > /etc/case-asks' > p/DEBIAN/postinst
chmod 755 p/DEBIAN/config p/DEBIAN/postinst
dpkg-deb --root-owner-group -b p case-asks.deb
rm -r p
