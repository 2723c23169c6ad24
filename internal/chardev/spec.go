package chardev

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"goemu/internal/config"
)

// Spec is a parsed -chardev option or legacy string.
type Spec struct {
	ID, Kind string
	Mux      bool
	// Notice is a line to print for the user after Open, as "char device redirected to …".
	Notice string
	// Origin is the option that asks for the backend, which messages begin with; empty for none.
	Origin string
	// Object finds user-created objects, such as TLS credentials, by ID; nil finds none.
	Object func(id string) any
	opts   map[string]string

	deprecated []string          // messages about the form of options
	tell       func(text string) // gives the user a message
	detached   bool              // as of Hooks
	screen     func(id string, columns, rows int) io.ReadWriteCloser
}

// NewSpec is the specification of a backend with options under the names that -chardev has for them.
func NewSpec(id, kind string, opts map[string]string) *Spec {
	return &Spec{ID: id, Kind: kind, opts: opts}
}

// options are the parameters that -chardev knows, whatever the backend.
var options = map[string]bool{}

const optionNames = "backend path input-path host port fd to ipv4 ipv6 wait server delay nodelay reconnect telnet tn3270 tls-creds tls-authz " +
	"websocket width height cols rows mux signal name debug size chardev append logfile logappend mouse clipboard tight abstract localaddr localport"

var optionsOnce sync.Once

func knownOption(name string) bool {
	optionsOnce.Do(func() {
		for _, n := range strings.Fields(optionNames) {
			options[n] = true
		}
	})
	return options[name]
}

// Parse reads the value of -chardev.
func Parse(text string) (*Spec, error) {
	s := &Spec{opts: map[string]string{}}
	for i, item := range config.SplitElements(text) {
		key, value, hasValue := strings.Cut(item, "=")
		switch {
		case i == 0 && !hasValue:
			key, value = "backend", item
		case item == "":
			continue
		case !hasValue:
			key, value = shortForm(item)
			s.deprecated = append(s.deprecated, fmt.Sprintf("warning: short-form boolean option '%s' deprecated\nPlease use %s=%s instead", item, key, value))
		}
		if err := s.set(key, value); err != nil {
			return nil, err
		}
	}
	return s, s.finish()
}

// shortForm turns "server" into server=on and "nowait" into wait=off.
func shortForm(item string) (key, value string) {
	key, value = item, "on"
	if !knownOption(item) && strings.HasPrefix(item, "no") && knownOption(item[2:]) {
		key, value = item[2:], "off"
	}
	return key, value
}

func (s *Spec) set(key, value string) error {
	switch {
	case key == "id":
		if !config.WellFormedID(value) {
			return errors.New("Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter.")
		}
		s.ID = value
	case !knownOption(key):
		return fmt.Errorf("Invalid parameter '%s'", key)
	default:
		s.opts[key] = value
	}
	return nil
}

// finish checks what every backend has.
func (s *Spec) finish() (err error) {
	if s.ID == "" {
		return errors.New("chardev: no id specified")
	}
	kind, ok := s.get("backend")
	if !ok {
		return fmt.Errorf("chardev: \"%s\" missing backend", s.ID)
	}
	s.Kind = kind
	s.Mux, err = s.boolean("mux", false)
	return err
}

func (s *Spec) get(name string) (string, bool) {
	v, ok := s.opts[name]
	return v, ok
}

func (s *Spec) has(name string) bool {
	_, ok := s.opts[name]
	return ok
}

// inform gives the user a message about the option.
func (s *Spec) inform(text string) {
	if s.Origin != "" {
		text = s.Origin + ": " + text
	}
	say(s.tell, text)
}

func (s *Spec) boolean(name string, def bool) (bool, error) {
	switch v, ok := s.opts[name]; {
	case !ok:
		return def, nil
	case v == "on" || v == "yes" || v == "true" || v == "y":
		return true, nil
	case v == "off" || v == "no" || v == "false" || v == "n":
		return false, nil
	}
	return false, fmt.Errorf("Parameter '%s' expects 'on' or 'off'", name)
}

func (s *Spec) number(name string, def uint64) (uint64, error) {
	v, ok := s.opts[name]
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseUint(v, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("Parameter '%s' expects a number", name)
	}
	return n, nil
}

// size reads a number with a binary suffix.
func (s *Spec) size(name string, def uint64) (uint64, error) {
	v, ok := s.opts[name]
	if !ok {
		return def, nil
	}
	digits, shift := v, 0
	if v != "" {
		if i := strings.IndexByte("bkmgtpe", v[len(v)-1]|0x20); i >= 0 {
			digits, shift = v[:len(v)-1], 10*i
		}
	}
	n, err := strconv.ParseUint(digits, 0, 64)
	if err != nil || n<<shift>>shift != n {
		return 0, fmt.Errorf("Parameter '%s' expects a non-negative number below 2^64\n"+
			"Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.", name)
	}
	return n << shift, nil
}

// ErrNone is what ParseLegacy answers to "none": no device at all.
var ErrNone = errors.New("none")

// ParseLegacy reads what -serial, -monitor, -parallel and -debugcon take; label is the new backend's ID. For "chardev:ID" it returns
// a Spec of kind "" with that ID.
func ParseLegacy(label, text string) (*Spec, error) {
	s := &Spec{ID: label, opts: map[string]string{}}
	if id, ok := strings.CutPrefix(text, "chardev:"); ok {
		s.ID = id
		return s, nil
	}
	if rest, ok := strings.CutPrefix(text, "mon:"); ok {
		s.Mux, text = true, rest
		if rest == "stdio" {
			s.opts["signal"] = "off" // Ctrl-C goes to the guest
		}
	}
	if text == "none" {
		return nil, ErrNone
	}
	for _, f := range legacyForms {
		if rest, ok := strings.CutPrefix(text, f.prefix); ok && (f.prefix[len(f.prefix)-1] == ':' || f.prefix[len(f.prefix)-1] == '/' || rest == "") {
			s.Kind = f.kind
			return s, f.parse(s, rest)
		}
	}
	return nil, fmt.Errorf("'%s' is not a valid char driver", text)
}

// legacyForms are the strings of ParseLegacy: a prefix that ends in a colon or slash takes a rest, others are whole words.
var legacyForms = [...]struct {
	prefix, kind string
	parse        func(s *Spec, rest string) error
}{
	{"null", "null", legacyWord},
	{"pty", "pty", legacyWord},
	{"stdio", "stdio", legacyWord},
	{"file:", "file", legacyPath},
	{"pipe:", "pipe", legacyPath},
	{"vc", "vc", legacyWord},
	{"vc:", "vc", legacyVC},
	{"tcp:", "socket", legacyInet},
	{"telnet:", "socket", legacyProtocol("telnet")},
	{"websocket:", "socket", legacyProtocol("websocket")},
	{"udp:", "udp", legacyUDP},
	{"unix:", "socket", legacyUnix},
	{"/dev/parport", "parallel", legacyWord},
	{"/dev/", "serial", func(s *Spec, rest string) error { return legacyPath(s, "/dev/"+rest) }},
}

// legacyVC reads a size in pixels or, with a C behind each number, in characters.
func legacyVC(s *Spec, rest string) error {
	width, height, ok := strings.Cut(rest, "x")
	names := [...]string{"width", "height"}
	if w, chars := strings.CutSuffix(width, "C"); chars {
		if height, ok = strings.CutSuffix(height, "C"); ok {
			width, names = w, [...]string{"cols", "rows"}
		}
	}
	for i, number := range [...]string{width, height} {
		if _, err := strconv.ParseUint(number, 10, 32); err != nil || !ok {
			return fmt.Errorf("'vc:%s' is not a valid char driver", rest)
		}
		s.opts[names[i]] = number
	}
	return nil
}

// legacyProtocol reads an address for a protocol over TCP.
func legacyProtocol(name string) func(*Spec, string) error {
	return func(s *Spec, rest string) error {
		s.opts[name] = "on"
		return legacyInet(s, rest)
	}
}

// legacyUDP reads [HOST]:PORT[@[LOCALHOST]:LOCALPORT].
func legacyUDP(s *Spec, rest string) error {
	remote, local, hasLocal := strings.Cut(rest, "@")
	for _, a := range []struct{ text, host, port string }{{remote, "host", "port"}, {local, "localaddr", "localport"}} {
		if a.text == "" && (a.host == "host" || !hasLocal) {
			continue
		}
		i := strings.LastIndexByte(a.text, ':')
		if i < 0 {
			return fmt.Errorf("'udp:%s' is not a valid char driver", rest)
		}
		s.opts[a.port] = a.text[i+1:]
		if i > 0 {
			s.opts[a.host] = strings.Trim(a.text[:i], "[]")
		}
	}
	return nil
}

func legacyWord(*Spec, string) error { return nil }

func legacyPath(s *Spec, rest string) error {
	s.opts["path"] = rest
	return nil
}

// legacyOptions reads the options after the address.
func legacyOptions(s *Spec, items []string) error {
	for _, item := range items {
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			key, value = shortForm(item)
		}
		if err := s.set(key, value); err != nil {
			return err
		}
	}
	return nil
}

func legacyUnix(s *Spec, rest string) error {
	items := config.SplitElements(rest)
	if !strings.Contains(items[0], "=") { // as QEMU's options: the first one may lack its name
		items[0] = "path=" + items[0]
	}
	return legacyOptions(s, items)
}

func legacyInet(s *Spec, rest string) error {
	items := config.SplitElements(rest)
	i := strings.LastIndexByte(items[0], ':')
	if i < 0 {
		return fmt.Errorf("'%s' is not a valid char driver", "tcp:"+rest)
	}
	s.opts["host"], s.opts["port"] = strings.Trim(items[0][:i], "[]"), items[0][i+1:]
	return legacyOptions(s, items[1:])
}
