"""Configurations as Python values, written in libconfig's syntax."""


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


FAULT = listener("fault", "127.0.0.1:7001", "fault")
