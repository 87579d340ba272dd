# In make-files.sh: wheels/ with the package case-words, which has a module and a program.
python3 - <<'P'
import base64, hashlib, os, zipfile

os.makedirs("wheels", exist_ok=True)
about = "case_words-1.dist-info"
files = {
    "case_words/__init__.py": "WORD = 'here'\n\n\ndef main():\n    print(WORD)\n",
    f"{about}/METADATA": "Metadata-Version: 2.1\nName: case-words\nVersion: 1\n",
    f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: case\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{about}/entry_points.txt": "[console_scripts]\ncase-words = case_words:main\n",
}
rows = [f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}" for name, text in files.items()]
files[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,"]) + "\n"
with zipfile.ZipFile("wheels/case_words-1-py3-none-any.whl", "w") as archive:
    for name, text in files.items():
        archive.writestr(name, text)
P
