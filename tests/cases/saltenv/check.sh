. "$CASES/words.sh"
has /srv/base base
has /srv/dev dev
has /srv/trial dev
right "files were copied" test "$(sort -u "$ROOT/srv/cached")" = overlayfs
