package cli

import (
	"slices"
	"strings"

	"goemu/internal/config"
)

// set applies -set: it gives an argument to a device, drive, character device or network back end that was named before.
func (p *parser) set(v string) error {
	path, value, ok := strings.Cut(v, "=")
	parts := strings.SplitN(path, ".", 3)
	if !ok || len(parts) != 3 || slices.Contains(parts, "") {
		return p.errorf("can't parse: \"%s\"", v)
	}
	group, id, arg := parts[0], parts[1], parts[2]
	switch group {
	case "device":
		for i := range p.VM.Devices {
			if d := &p.VM.Devices[i]; has(d.Get("id"))(id) {
				d.Pairs = append(slices.DeleteFunc(d.Pairs, func(x config.Pair) bool { return x.Key == arg }), config.Pair{Key: arg, Value: value})
				return nil
			}
		}
	case "drive":
		if setText(p.VM.Drives, "", id, arg, value) {
			return nil
		}
	case "chardev":
		if setText(p.VM.Chardevs, "backend", id, arg, value) {
			return nil
		}
	case "netdev":
		if setText(p.VM.Netdevs, "type", id, arg, value) {
			return nil
		}
	default:
		return p.errorf("There is no option group '%s'", group)
	}
	return p.errorf("there is no %s \"%s\" defined", group, id)
}

func has(value string, ok bool) func(string) bool {
	return func(want string) bool { return ok && value == want }
}

// setText adds an argument to the one of the options in text form that has the identifier; first is the name of a leading value without name.
func setText(list []config.Source, first, id, arg, value string) bool {
	for i := range list {
		o := config.Options{Pairs: config.ParseOpts(list[i].Value, first)}
		if has(o.Get("id"))(id) {
			list[i].Value += "," + arg + "=" + strings.ReplaceAll(value, ",", ",,")
			return true
		}
	}
	return false
}
