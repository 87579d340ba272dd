set -e
cd "$(dirname "$0")"
mkdir -p 'tree/Ünïcode/日本' 'tree/two words' tree/nothing
echo 1 > 'tree/Ünïcode/日本/ελληνικά.conf'
echo 2 > 'tree/two words/100% #done; $HOME `x`'
echo 3 > "tree/it's \"quoted\""
echo 4 > 'tree/-rf'
printf '\0\377\376' > tree/binary
printf '#!/bin/sh\n' > tree/program
chmod 755 tree/program
