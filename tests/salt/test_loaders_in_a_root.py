"""The loaders of a Salt share what they found in directories that have not changed: all see what they would see by themselves."""

import json
import subprocess
import sys
from pathlib import Path

IN_ROOT = Path(__file__).parents[2] / "_utils/vmimage/variation/in_root"
_PROGRAM = """
import json, os, sys
top = sys.argv[1]
own = top + "/python/modules"
os.makedirs(own)
os.utime(own, (1, 1))
sys.executable = top + "/python/bin/python3"
import salt.loader, salt.loader.lazy, salt.config
plain = salt.loader.lazy.LazyLoader._refresh_file_mapping
import offline_salt
offline_salt.scan_own_directories_once()
shared = salt.loader.lazy.LazyLoader._refresh_file_mapping
scans = []
opts = salt.config.DEFAULT_MINION_OPTS.copy()
opts["module_dirs"] = [top, own]
opts["extension_modules"] = top + "/none"

def seen(tag, **more):
    loader = salt.loader.lazy.LazyLoader(salt.loader._module_dirs(dict(opts, **more), tag, "module"), dict(opts, **more), tag=tag)
    shared(loader)
    found = loader.file_mapping, loader.suffix_map, loader.suffix_order
    again = salt.loader.lazy.LazyLoader(loader.module_dirs, dict(opts, **more), tag=tag)
    again.suffix_map.pop("", None)
    plain(again)
    return list(found[0].items()) == list(again.file_mapping.items()) and set(found[1]) == set(again.suffix_map) and found[2] == again.suffix_order, sorted(found[0])

answers = {}
answers["first"] = seen("modules")
answers["second"] = seen("modules")
answers["states"] = seen("states")
open(top + "/brought.py", "w").write("def there(): return 1\\n")
answers["brought"] = seen("modules")
os.makedirs(top + "/package")
answers["empty package"] = seen("modules")
open(top + "/package/__init__.py", "w").write("")
answers["package"] = seen("modules")
answers["disabled"] = seen("modules", disable_modules=["brought"])
open(own + "/installed.py", "w").write("")
answers["installed"] = seen("modules")
os.unlink(top + "/brought.py")
answers["gone"] = seen("modules")
print(json.dumps(answers))
"""


def test_each_loader_finds_what_it_would_find_by_itself(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", _PROGRAM, tmp_path], env={"PYTHONPATH": str(IN_ROOT)}, capture_output=True, text=True, check=True
    )
    answers = json.loads(said.stdout)
    assert {name: same for name, (same, _) in answers.items()} == dict.fromkeys(answers, True)
    found = {name: set(modules) for name, (_, modules) in answers.items()}
    assert "test" in found["first"] and "user" in found["states"]
    assert "brought" not in found["first"] and "brought" in found["brought"] and "brought" not in found["gone"]
    assert "package" not in found["empty package"] and "package" in found["package"]
    assert "brought" not in found["disabled"]
    assert "installed" not in found["disabled"] and "installed" in found["installed"]
