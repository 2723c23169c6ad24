package tool

import (
	"fmt"
	"strings"

	"goemu/block"
	"goemu/internal/config"
)

// pair is one element of an option list.
type pair struct{ name, value string }

// splitOptions takes "a=b,c,nod" apart. The first element without '=' gets the implied name unless that is empty; warn is called for other
// words, which are switches.
func splitOptions(list, implied string, warn func(prefix, name, value string)) (pairs []pair, help bool) {
	for first := true; list != ""; first = false {
		elem, rest, _ := config.CutElement(list)
		// Only a value can have doubled commas: a bare word ends at any comma.
		if i := strings.IndexAny(list, "=,"); i >= 0 && list[i] == ',' && !(first && implied != "") {
			elem, rest = list[:i], list[i+1:]
		}
		list = rest
		name, value, ok := strings.Cut(elem, "=")
		switch {
		case ok:
		case first && implied != "":
			name, value = implied, elem
		case strings.HasPrefix(name, "no"):
			name, value = name[2:], "off"
			if warn != nil {
				warn("no", name, value)
			}
		default:
			value = "on"
			if name == "help" || name == "?" {
				return pairs, true
			}
			if warn != nil {
				warn("", name, value)
			}
		}
		pairs = append(pairs, pair{name, value})
	}
	return pairs, false
}

// HasHelp tells whether an option list asks for help.
func HasHelp(list string) bool {
	_, help := splitOptions(list, "", nil)
	return help
}

// ParseOptions reads a list of options of any name, as in --image-opts. A bare first word gets the implied name.
func (t *Tool) ParseOptions(list, implied string) *block.Options {
	o := block.NewOptions()
	pairs, _ := splitOptions(list, implied, func(prefix, name, value string) {
		t.Warnf("short-form boolean option '%s%s' deprecated", prefix, name)
		fmt.Fprintf(t.Err, "Please use %s=%s instead\n", name, value)
	})
	for _, p := range pairs {
		o.Set(p.name, p.value)
	}
	return o
}

// AppendList adds one more -o argument to those before; ok is false if it cannot be part of a list.
func (t *Tool) AppendList(list *string, arg string) (ok bool) {
	commas := len(arg) - len(strings.TrimRight(arg, ","))
	if arg == "" || arg[0] == ',' || commas%2 != 0 {
		t.Errorf("Invalid option list: %s", arg)
		return false
	}
	if *list != "" {
		*list += ","
	}
	*list += arg
	return true
}
