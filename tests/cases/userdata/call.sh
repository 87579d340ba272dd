# PYTHON DIRECTORY: nothing is built
python=$1 work=$2 wrong=0
mkdir -p "$work"
ask() {
    said=$("$python" -m vmimage.builder --dry-run --config-dir "$work/salt" --home "$work/home" --userdata "$work/data" 2>&1)
    code=$?
}
read_well() { # WHAT: the settings of the file are read
    ask
    [ $code = 0 ] && grep -q 'ami\.name' <<< "$said" && return
    echo "wrong: $1: not read, exit code $code: $said"
    wrong=1
}
told() { # WHAT WORD...: refused, by a message with these words
    local what=$1 word
    shift
    ask
    [ $code != 0 ] || { echo "wrong: $what: goes through: $said"; wrong=1; }
    for word; do grep -qF -- "$word" <<< "$said" || { echo "wrong: $what: no '$word' in the message: $said"; wrong=1; }; done
    ! grep -q -e Traceback -e 'pass word' <<< "$said" || { echo "wrong: $what: $said"; wrong=1; }
}
settings='ami.name: shop
ami.variation: /srv/shop'
printf '#cloud settings of the shop\n%s\n' "$settings" > "$work/data"
read_well "a comment that begins with cloud"
printf '#cloud-settings of the shop\n%s\n' "$settings" > "$work/data"
read_well "a comment that begins with cloud-"
printf '#include-list of the shop\n%s\n' "$settings" > "$work/data"
read_well "a comment that begins with include"
printf '\n\n---\n%s\n...\n' "$settings" > "$work/data"
read_well "blank lines and dashes"
printf '{"ami": {"name": "shop", "variation": "/srv/shop"}}' > "$work/data"
read_well "JSON"
printf '\357\273\277%s\r\n' "${settings/$'\n'/$'\r\n'}" > "$work/data"
read_well "a file of Windows"
printf '%s\n\0\0\0' "$settings" > "$work/data"
read_well "zeros at the end"
printf '    %s\n    %s\n' "${settings%%$'\n'*}" "${settings##*$'\n'}" > "$work/data"
read_well "indented lines"
printf '%%YAML 1.1\n---\n%s\n' "$settings" > "$work/data"
read_well "a directive"
printf '# cloud-config\n%s\n' "$settings" > "$work/data"
read_well "a comment with a space"
printf '%s\n' "$settings" | base64 -w0 | base64 -w0 > "$work/data"
told "double base64" base64
printf 'export OS_USERNAME=ada\nexport OS_PASSWORD="pass word"\n' > "$work/data"
told "lines of a shell" OS_ keystone
printf '## template: jinja\n#cloud-config\nami.name: {{ v1.name }}\n' > "$work/data"
told "a template" jinja
printf 'ami.name: shop\nami.varation: /srv/shop\n' > "$work/data"
told "a mistyped key" ami.varation ami.variation
exit $wrong
