"""Configurations as Python values, written in libconfig's syntax."""
import ipaddress


def value(thing):
    if isinstance(thing, bool):
        return "true" if thing else "false"
    if isinstance(thing, int):
        return str(thing) if -2**31 <= thing < 2**31 else f"{thing}L"
    if isinstance(thing, str):
        return '"' + thing.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(thing, (list, tuple)):
        if thing and isinstance(thing[0], dict):
            return "(" + ", ".join(value(item) for item in thing) + ")"
        return "[ " + ", ".join(value(item) for item in thing) + " ]"
    return "{ " + " ".join(f"{key} = {value(item)};" for key, item in thing.items()) + " }"


def text(options):
    return "".join(f"{key} = {value(item)};\n" for key, item in options.items())


def listener(name="echo", address="127.0.0.1:7000", protocol="echo", **options):
    return {"name": name, "address": address, "protocol": protocol, **options}


def is_name(address):
    """Whether this address of a server, with its port, has to be looked up."""
    try:
        ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return "/" not in address
    return False


FAULT = listener("fault", "127.0.0.1:7001", "fault")
