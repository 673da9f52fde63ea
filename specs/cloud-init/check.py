"""The shipped configuration can be read, and everything it names can be imported; a stage is started and ended."""

import os
import subprocess
import sys
import threading
from importlib import import_module

config_file, units, stage = sys.argv[1:]

from cloudinit import distros, settings, socket, util
from cloudinit.cmd import main as _main  # noqa: F401
from cloudinit.config.modules import Modules  # noqa: F401

config = util.read_conf(config_file)
for key, value in config.items():
    if key.endswith("_modules"):
        for name in value:
            module = import_module(f"cloudinit.config.cc_{name}")
            assert callable(module.handle), name
            known = module.meta["distros"]
            assert "all" in known or config["system_info"]["distro"] in known, (name, known)

system = config["system_info"]
assert distros.fetch(system["distro"]).renderer_configs.keys() == set(system["network"]["renderers"])
user = system["default_user"]
assert user["lock_passwd"] and config["disable_root"] and not config["ssh_pwauth"] and "datasource_list" not in config

for name in settings.CFG_BUILTIN["datasource_list"]:
    module = import_module(f"cloudinit.sources.DataSource{name}")
    assert callable(module.get_datasource_list), name
for name in ("net.dhcp", "net.networkd", "net.activators", "url_helper", "handlers.jinja_template", "templater"):
    import_module(f"cloudinit.{name}")

outside = [
    module.__file__
    for name, module in sys.modules.items()
    if "/dist-packages/" in (getattr(module, "__file__", None) or "") and name != "__main__"
]
assert not outside, f"not ours: {outside}"

# Units and the shim agree with the main process on names and answers.
for unit, name in (
    ("cloud-init-local", "local"),
    ("cloud-init-network", "network"),
    ("cloud-config", "config"),
    ("cloud-final", "final"),
):
    with open(f"{units}/{unit}.service", encoding="utf-8") as handle:
        assert f"\nExecStart=/usr/lib/cloud-init/stage {name}\n" in handle.read(), unit
sys.stdin = open(os.devnull)
sync = socket.SocketSync("good", "bad")


def serve():
    with sync("good"):
        pass
    with sync("bad"):
        raise RuntimeError("meant to fail")


server = threading.Thread(target=serve)
server.start()
for name, code in (("good", 0), ("bad", 1)):
    done = subprocess.run([stage, name], timeout=60, stdout=subprocess.PIPE, check=False)
    assert done.returncode == code, (name, done)
server.join()
print("modules, data sources and stages are well")
