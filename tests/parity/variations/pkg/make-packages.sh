#!/bin/sh
# small packages and a repository of them
set -eu
mkdir -p /srv/packages && cd /srv/packages
export SOURCE_DATE_EPOCH=1000000000
make() { # make NAME VERSION
    mkdir -p "$1/DEBIAN" "$1/usr/share/$1"
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: small\n' "$1" "$2" > "$1/DEBIAN/control"
    echo "$2" > "$1/usr/share/$1/version"
    case "$1" in
    parity-conf)
        mkdir -p "$1/etc"
        echo text > "$1/etc/parity-conf"
        echo /etc/parity-conf > "$1/DEBIAN/conffiles" ;;
    parity-asks)
        printf 'Template: parity-asks/colour\nType: string\nDefault: red\nDescription: Colour?\n Which.\n\nTemplate: parity-asks/sure\nType: boolean\nDefault: false\nDescription: Sure?\n Or not.\n\nTemplate: parity-asks/size\nType: string\nDescription: Size?\n Which.\n' > "$1/DEBIAN/templates"
        printf '#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\nfor q in colour sure size; do db_input high parity-asks/$q || true; done\ndb_go || true\n' > "$1/DEBIAN/config"
        printf '#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\n: > /etc/parity-asks\nfor q in colour sure size; do db_get parity-asks/$q; echo "$q=$RET" >> /etc/parity-asks; done\n' > "$1/DEBIAN/postinst"
        chmod 755 "$1/DEBIAN/config" "$1/DEBIAN/postinst" ;;
    parity-service)
        mkdir -p "$1/lib/systemd/system"
        printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' > "$1/lib/systemd/system/parity-service.service"
        printf '#!/bin/sh\nset -e\ndeb-systemd-helper enable parity-service.service\ndeb-systemd-invoke start parity-service.service || true\nsystemctl is-active parity-service || true\n' > "$1/DEBIAN/postinst"
        chmod 755 "$1/DEBIAN/postinst" ;;
    esac
    find "$1" -exec touch -h -d @1000000000 {} +
    dpkg-deb --root-owner-group -Znone -b "$1" "$1_$2_all.deb" > /dev/null
    rm -r "$1"
}
make parity-plain 1.0; make parity-conf 1.0
make parity-versions 1.0; make parity-versions 2.0
make parity-range 1.5; make parity-range 2.5
make parity-latest 1.0; make parity-latest 3.0
make parity-asks 1.0; make parity-service 1.0
for deb in *.deb; do
    dpkg-deb -f "$deb"
    echo "Filename: ./$deb"
    echo "Size: $(stat -c %s "$deb")"
    echo "SHA256: $(sha256sum "$deb" | cut -d ' ' -f 1)"
    echo
done > Packages
