# PYTHON DIRECTORY: each file is read, or refused by words that help; the first line alone makes nothing cloud-init's.
python=$1 work=$2 wrong=0
mkdir -p "$work"
for file in "$(dirname "$0")"/u/*; do
    said=$("$python" -m vmimage.builder --dry-run --config-dir "$work/salt" --home "$work/home" --userdata "$file" 2>&1)
    code=$?
    case $(basename "$file") in
        07-*) want=1 words='OS_' ;;
        08-*) want=1 words='keystone' ;;
        09-*) want=1 words='base64' ;;
        10-*) want=1 words='jinja' ;;
        13-*) want=either words='' ;;
        14-*) want=either words='' ;;
        16-*) want=either words='ami.name\|null bytes' ;;
        15-*) want=1 words='ami.variation' ;;
        *) want=0 words='ami.name' ;;
    esac
    [ $want = either ] || [ $want = $((code != 0)) ] || { echo "wrong: $(basename "$file") ended with $code: $said"; wrong=1; continue; }
    grep -q -- "$words" <<< "$said" || { echo "wrong: $(basename "$file") says nothing of $words: $said"; wrong=1; }
    ! grep -q -e Traceback -e hunter2hunter2 <<< "$said" || { echo "wrong: $(basename "$file"): $said"; wrong=1; }
done
exit $wrong
