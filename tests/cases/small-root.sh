# In make-base.sh, in the root: what a base of these cases need not have, so that it is made and read quickly.
rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/perl usr/share/i18n usr/lib/*/perl usr/lib/*/gconv usr/lib/udev/hwdb* \
    var/cache/apt/*.bin var/lib/apt/lists/* usr/lib/modules/*/kernel/drivers usr/lib/modules/*/kernel/sound
