# A formula in a repository; the states of the minion's own file_roots use it.
set -e
cd "$(dirname "$0")"
mkdir -p states formula/page/files
printf 'base:\n  "*": [page]\n' > states/top.sls
printf '/srv/page:\n  file.managed: [{source: "salt://page/files/page"}, {makedirs: true}]\n' > formula/page/init.sls
echo 'of the repository' > formula/page/files/page
cd formula
git init -q -b master .
git add .
git -c user.name=u -c user.email=u@example.org commit -q -m formula
