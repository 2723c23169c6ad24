package config

import "strings"

// CutElement takes the first element off a list in which a comma ends an element and a doubled comma stands for one inside it. more
// tells whether a comma followed, that is whether rest is a list, too.
func CutElement(list string) (elem, rest string, more bool) {
	var b strings.Builder
	for i := 0; i < len(list); i++ {
		if list[i] == ',' {
			if i+1 == len(list) || list[i+1] != ',' {
				return b.String(), list[i+1:], true
			}
			i++
		}
		b.WriteByte(list[i])
	}
	return b.String(), "", false
}

// SplitElements returns the elements of such a list; the empty list has one, which is empty.
func SplitElements(list string) []string {
	var out []string
	for more := true; more; {
		var elem string
		elem, list, more = CutElement(list)
		out = append(out, elem)
	}
	return out
}

// ParseOpts splits "a,b=c,d=e,,f" into pairs. A doubled comma stands for one. The first element without "=" takes the implied key;
// a later one without "=" is a switch: key=on, or nokey=off.
func ParseOpts(s, implied string) []Pair {
	var out []Pair
	for first := true; s != "" || first; first = false {
		var elem string
		elem, s, _ = CutElement(s)
		key, val, hasVal := strings.Cut(elem, "=")
		switch {
		case hasVal:
		case first && implied != "":
			key, val = implied, elem
		case elem == "":
			continue
		case elem == "help" || elem == "?":
			val = "on"
		case strings.HasPrefix(elem, "no") && len(elem) > 2:
			key, val = elem[2:], "off"
		default:
			val = "on"
		}
		out = append(out, Pair{Key: key, Value: val})
	}
	return out
}

// WellFormedID tells whether s may be an identifier: letters, digits, '-', '.' and '_', beginning with a letter.
func WellFormedID(s string) bool {
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '-' && c != '.' && c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}
