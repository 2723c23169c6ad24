package hmp

import (
	"math"
	"strconv"
	"strings"
)

// Args are the arguments of a command by name. The types, as in Command.Args:
//
//	s  a word, or a string in double quotes    F  the same, a file name     B  the same, the name of a block device
//	S  the rest of the line                    O  the same as s: a list of options
//	i  an expression of 32 bits                l  an expression of 64 bits  M  a number of MiB
//	o  a size with a suffix, MiB by default    T  a time in seconds         b  on or off
//	-x a switch, -xs a switch with a word      /  a format as /4xw, before the first argument
//
// "?" after the type makes an argument optional; "." too, if a dot stands before it on the line.
type Args struct {
	values              map[string]any
	count, format, size int
}

// Has tells whether an argument was given.
func (a *Args) Has(name string) bool { _, ok := a.values[name]; return ok }

// String returns a word.
func (a *Args) String(name string) (string, bool) { s, ok := a.values[name].(string); return s, ok }

// Text returns a word, "" if it was not given.
func (a *Args) Text(name string) string { s, _ := a.values[name].(string); return s }

// Int returns a number, 0 if it was not given.
func (a *Args) Int(name string) int64 { n, _ := a.values[name].(int64); return n }

// Bool returns a switch, false if it was not given.
func (a *Args) Bool(name string) bool { b, _ := a.values[name].(bool); return b }

// Float returns a time.
func (a *Args) Float(name string) float64 { f, _ := a.values[name].(float64); return f }

// Format returns the parts of a format: how many, one of oduxic, and of how many bytes, -1 if format is i and no size was given.
func (a *Args) Format() (count, format, size int) { return a.count, a.format, a.size }

// line is what is left of a command's line.
type line struct {
	m    *Monitor
	cmd  *Command
	text string
}

func (l *line) skip() { l.text = strings.TrimLeft(l.text, blanks) }

// parse reads the arguments of c from rest, which is left at what cannot be read.
func (m *Monitor) parse(c *Command, rest *string) (*Args, bool) {
	a := &Args{values: map[string]any{}}
	l := &line{m: m, cmd: c, text: *rest}
	for types := c.Args; types != ""; {
		var one string
		one, types, _ = strings.Cut(types, ",")
		name, typ, _ := strings.Cut(one, ":")
		if !l.argument(a, name, typ) {
			*rest = l.text
			return nil, false
		}
	}
	l.skip()
	*rest = l.text
	if l.text != "" {
		m.Printf("%s: extraneous characters at the end of line\n", c.Name)
		return nil, false
	}
	return a, true
}

// argument reads one argument.
func (l *line) argument(a *Args, name, typ string) bool {
	l.skip()
	optional := strings.HasSuffix(typ, "?") && typ[0] != '-'
	if optional && l.text == "" {
		return true
	}
	switch typ[0] {
	case '/':
		return l.format(a)
	case '-':
		return l.option(a, name, typ)
	case 's', 'F', 'B', 'O':
		return l.wordArgument(a, name, typ[0])
	case 'S':
		if l.text == "" {
			l.m.Printf("%s: string expected\n", l.cmd.Name)
			return false
		}
		a.values[name], l.text = l.text, ""
		return true
	case 'b':
		word, rest := cutWord(l.text)
		l.text = rest
		if word != "on" && word != "off" {
			l.m.Printf("Expected 'on' or 'off'\n")
			return false
		}
		a.values[name] = word == "on"
		return true
	case 'o':
		return l.sizeArgument(a, name)
	case 'T':
		return l.time(a, name)
	}
	if strings.HasSuffix(typ, ".") {
		if !strings.HasPrefix(l.text, ".") {
			return true
		}
		l.text = l.text[1:]
	}
	return l.number(a, name, typ[0])
}

func cutWord(s string) (word, rest string) {
	n := strings.IndexAny(s, blanks)
	if n < 0 {
		return s, ""
	}
	return s[:n], s[n:]
}

func (l *line) wordArgument(a *Args, name string, typ byte) bool {
	word, rest, ok := readWord(l.text)
	l.text = rest
	if !ok {
		what := map[byte]string{'F': "filename", 'B': "block device name"}[typ]
		if what == "" {
			what = "string"
		}
		l.m.Printf("%s: %s expected\n", l.cmd.Name, what)
		return false
	}
	a.values[name] = word
	return true
}

// maxWord is the length at which words are cut.
const maxWord = 1023

// readWord reads a word or a quoted string.
func readWord(s string) (word, rest string, ok bool) {
	s = strings.TrimLeft(s, blanks)
	if s == "" {
		return "", "", false
	}
	if s[0] != '"' {
		word, rest = cutWord(s)
		return word[:min(len(word), maxWord)], rest, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			switch c = s[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case '\\', '\'', '"':
			default:
				return "", s[i:], false
			}
		}
		if b.Len() < maxWord {
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// maxWords is how many words a line may have where it is taken apart at once.
const maxWords = 16

// splitWords takes a line apart.
func splitWords(s string) (words []string, ok bool) {
	for strings.TrimLeft(s, blanks) != "" {
		word, rest, ok := readWord(s)
		if !ok || len(words) == maxWords {
			return nil, false
		}
		words, s = append(words, word), rest
	}
	return words, true
}

// option reads a switch, if it is there.
func (l *line) option(a *Args, name, typ string) bool {
	letter, withWord := typ[1], strings.HasSuffix(typ, "s") && len(typ) > 2
	if !strings.HasPrefix(l.text, "-") {
		return true
	}
	given := l.text[1:]
	if given == "" || given[0] != letter {
		if given != "" && strings.Contains(l.cmd.Args, "-"+given[:1]) {
			return true // another one of the command's
		}
		l.m.Printf("%s: unsupported option -%s\n", l.cmd.Name, given[:min(1, len(given))])
		return false
	}
	l.text = given[1:]
	if !withWord {
		a.values[name] = true
		return true
	}
	word, rest, ok := readWord(l.text)
	l.text = rest
	if !ok {
		l.m.Printf("%s: value expected for -%c\n", l.cmd.Name, letter)
		return false
	}
	a.values[name] = word
	return true
}

// format reads /COUNT FORMAT SIZE.
func (l *line) format(a *Args) bool {
	a.count, a.format, a.size = 1, l.m.format, l.m.size
	if !strings.HasPrefix(l.text, "/") {
		if a.format == 'i' {
			a.size = -1
		}
		return true
	}
	s := l.text[1:]
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n > 0 {
		v, err := strconv.ParseInt(s[:n], 10, 32)
		if err != nil {
			v = math.MaxInt32
		}
		a.count = int(v)
	}
	s = s[n:]
	format, size := -1, -1
loop:
	for ; s != ""; s = s[1:] {
		switch s[0] {
		case 'o', 'd', 'u', 'x', 'i', 'c':
			format = int(s[0])
		case 'b':
			size = 1
		case 'h':
			size = 2
		case 'w':
			size = 4
		case 'g', 'L':
			size = 8
		default:
			break loop
		}
	}
	l.text = s
	if s != "" && !strings.Contains(blanks, s[:1]) {
		l.m.Printf("invalid char in format: '%c'\n", s[0])
		return false
	}
	if format < 0 {
		format = l.m.format
	}
	if format != 'i' {
		if size < 0 {
			size = l.m.size
		}
		l.m.size = size
	}
	l.m.format = format
	a.format, a.size = format, size
	return true
}

// number reads an expression.
func (l *line) number(a *Args, name string, typ byte) bool {
	e := &expression{text: l.text, register: l.m.register}
	v, ok := e.value()
	l.text = e.text
	switch {
	case !ok:
		l.m.Printf("%s\n", e.err)
		return false
	case typ == 'i' && v>>32 != 0:
		l.m.Printf("'%s' has failed: integer is for 32-bit values\n", l.cmd.Name)
		return false
	case typ == 'M' && v < 0:
		l.m.Printf("enter a positive value\n")
		return false
	case typ == 'M':
		v <<= 20
	}
	a.values[name] = v
	return true
}

func (m *Monitor) register(name string) (uint64, bool) {
	if m.Register == nil {
		return 0, false
	}
	return m.Register(m.CPU, name)
}

// sizeArgument reads a size, which is in MiB without a suffix.
func (l *line) sizeArgument(a *Args, name string) bool {
	n := 0
	for n < len(l.text) && strings.IndexByte(blanks, l.text[n]) < 0 {
		n++
	}
	v, ok := parseSize(l.text[:n])
	if !ok {
		l.m.Printf("invalid size\n")
		return false
	}
	l.text = l.text[n:]
	a.values[name] = v
	return true
}

// suffixes of sizes and their shifts.
var suffixes = map[byte]int{'b': 0, 'k': 10, 'm': 20, 'g': 30, 't': 40, 'p': 50, 'e': 60}

func parseSize(s string) (int64, bool) {
	shift := 20
	if s != "" {
		if n, ok := suffixes[s[len(s)-1]|0x20]; ok && !strings.HasPrefix(s, "0x") {
			shift, s = n, s[:len(s)-1]
		}
	}
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		if v < 0 || v > math.MaxInt64>>shift {
			return 0, false
		}
		return v << shift, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f*float64(uint64(1)<<shift) >= math.MaxInt64 {
		return 0, false
	}
	return int64(f * float64(uint64(1)<<shift)), true
}

// time reads a number of seconds, or of ms, us or ns.
func (l *line) time(a *Args, name string) bool {
	word, rest := cutWord(l.text)
	n := len(strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyz"))
	v, err := strconv.ParseFloat(word[:n], 64)
	if err != nil {
		l.m.Printf("Number expected\n")
		return false
	}
	switch word[n:] {
	case "":
	case "ms":
		v /= 1e3
	case "us":
		v /= 1e6
	case "ns":
		v /= 1e9
	default:
		l.m.Printf("Unknown unit suffix\n")
		return false
	}
	l.text = rest
	a.values[name] = v
	return true
}
