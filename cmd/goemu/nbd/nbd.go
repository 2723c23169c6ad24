// Package nbd is the NBD tool: qemu-nbd.
package nbd

import (
	"os"
	"strings"

	"goemu/block"
	proto "goemu/block/nbdproto"
	"goemu/internal/getopt"
	"goemu/internal/sockaddr"
	"goemu/internal/tlscreds"
	"goemu/internal/tool"
)

// command is one run of the tool.
type command struct {
	*tool.Tool
	options

	traces    []string // arguments of -T
	activated int      // sockets that the service manager passed
	creds     *tlscreds.X509
	authz     tlscreds.Authorizer
}

// options are the command line.
type options struct {
	bind, port, socket       string
	shared                   int
	persistent, verbose      bool
	name, description        string
	nameSet, descriptionSet  bool
	offset                   uint64
	depth                    bool
	bitmaps                  []string
	list, disconnect, fork   bool
	device                   string
	format                   string
	snapshot, readOnly       bool
	imageOpts                bool
	seenCache, seenAIO       bool
	seenDiscard              bool
	writethrough             bool
	mode                     block.Mode
	loadID, loadName         string // of --load-snapshot
	load                     bool
	loadEither               bool // loadName is an ID or a name
	tlsCreds, tlsAuthz       string
	tlsHostname              string
	pidFile, selinux         string
	tlsCredsSet, tlsAuthzSet bool
	tlsHostSet               bool
	file                     string
}

// Values of the long options that have no letter.
const (
	optCache = iota + 256
	optAIO
	optDiscard
	optDetectZeroes
	optObject
	optTLSCreds
	optImageOpts
	optFork
	optTLSAuthz
	optPidFile
	optSELinux
	optTLSHostname
)

const shortOptions = "hVb:o:p:rsnc:dvk:e:f:tl:x:T:D:AB:L"

var longOptions = []getopt.Long{
	{Name: "help", Val: 'h'}, {Name: "version", Val: 'V'}, {Name: "bind", Arg: true, Val: 'b'}, {Name: "port", Arg: true, Val: 'p'},
	{Name: "socket", Arg: true, Val: 'k'}, {Name: "offset", Arg: true, Val: 'o'}, {Name: "read-only", Val: 'r'},
	{Name: "allocation-depth", Val: 'A'}, {Name: "bitmap", Arg: true, Val: 'B'}, {Name: "connect", Arg: true, Val: 'c'},
	{Name: "disconnect", Val: 'd'}, {Name: "list", Val: 'L'}, {Name: "snapshot", Val: 's'}, {Name: "load-snapshot", Arg: true, Val: 'l'},
	{Name: "nocache", Val: 'n'}, {Name: "cache", Arg: true, Val: optCache}, {Name: "aio", Arg: true, Val: optAIO},
	{Name: "discard", Arg: true, Val: optDiscard}, {Name: "detect-zeroes", Arg: true, Val: optDetectZeroes},
	{Name: "shared", Arg: true, Val: 'e'}, {Name: "format", Arg: true, Val: 'f'}, {Name: "persistent", Val: 't'},
	{Name: "verbose", Val: 'v'}, {Name: "object", Arg: true, Val: optObject}, {Name: "export-name", Arg: true, Val: 'x'},
	{Name: "description", Arg: true, Val: 'D'}, {Name: "tls-creds", Arg: true, Val: optTLSCreds},
	{Name: "tls-hostname", Arg: true, Val: optTLSHostname}, {Name: "tls-authz", Arg: true, Val: optTLSAuthz},
	{Name: "image-opts", Val: optImageOpts}, {Name: "trace", Arg: true, Val: 'T'}, {Name: "fork", Val: optFork},
	{Name: "pid-file", Arg: true, Val: optPidFile}, {Name: "selinux-label", Arg: true, Val: optSELinux},
}

// Main runs the tool; args[0] is its name. It returns the exit status.
func Main(t *tool.Tool, args []string) int {
	defer t.Out.Flush()
	c := &command{Tool: t}
	c.shared = 1
	t.Graph.Warn = func(text string) { t.Warnf("%s", text) }
	p := getopt.New(args, shortOptions, longOptions, t.Err)
	for v := p.Next(); v != getopt.End; v = p.Next() {
		if done, status := c.option(v, p.Value); done {
			return status
		}
	}
	if status := c.check(p.Operands()); status >= 0 {
		return status
	}
	switch {
	case c.list:
		return c.listExports()
	case c.disconnect:
		return c.disconnectDevice()
	case (c.device != "" && !c.verbose || c.fork) && !forked():
		return c.forkServer()
	}
	for _, arg := range c.traces {
		if done, status := c.Trace(arg); done {
			return status
		}
	}
	return c.serve()
}

// die reports a mistake; its results end the tool.
func (c *command) die(format string, a ...any) (bool, int) {
	c.Errorf(format, a...)
	return true, 1
}

// switches are the options that only set something.
func (c *command) switches() map[int]*bool {
	return map[int]*bool{'A': &c.depth, 'd': &c.disconnect, 't': &c.persistent, 'v': &c.verbose, 's': &c.snapshot, 'L': &c.list,
		optImageOpts: &c.imageOpts, optFork: &c.fork}
}

// strings are the options that only keep their argument.
func (c *command) strings() map[int]*string {
	return map[int]*string{'b': &c.bind, 'p': &c.port, 'c': &c.device, 'f': &c.format, optPidFile: &c.pidFile, optSELinux: &c.selinux}
}

// option handles one option; done ends the tool.
func (c *command) option(v int, arg string) (done bool, status int) {
	if b := c.switches()[v]; b != nil {
		*b = true
		return false, 0
	}
	if s := c.strings()[v]; s != nil {
		*s = arg
		return false, 0
	}
	switch v {
	case 'h':
		c.help()
		return true, 0
	case 'V':
		c.version()
		return true, 0
	case getopt.Unknown:
		return c.die("Try `%s --help' for more information.", c.Command)
	case 'r':
		c.setReadOnly()
	case 'B':
		c.bitmaps = append([]string{arg}, c.bitmaps...)
	case 'T':
		c.traces = append(c.traces, arg)
		return c.CheckTrace(arg)
	case optObject:
		return c.AddObject(arg)
	case optTLSCreds:
		c.tlsCreds, c.tlsCredsSet = arg, true
	case optTLSAuthz:
		c.tlsAuthz, c.tlsAuthzSet = arg, true
	case optTLSHostname:
		c.tlsHostname, c.tlsHostSet = arg, true
	default:
		return c.checkedOption(v, arg)
	}
	return false, 0
}

func (c *command) setReadOnly() {
	c.readOnly = true
	c.mode.ReadOnly = true
}

// checkedOption handles the options whose argument can be wrong.
func (c *command) checkedOption(v int, arg string) (done bool, status int) {
	switch v {
	case 'n', optCache:
		return c.cacheOption(v, arg)
	case optAIO:
		if c.seenAIO {
			return c.die("--aio can only be specified once")
		}
		if c.seenAIO = true; !tool.SetAIO(&c.mode, arg) {
			return c.die("Invalid aio mode '%s'", arg)
		}
	case optDiscard:
		if c.seenDiscard {
			return c.die("--discard can only be specified once")
		}
		if c.seenDiscard = true; !tool.SetDiscard(&c.mode, arg) {
			return c.die("Invalid discard mode `%s'", arg)
		}
	case optDetectZeroes:
		return c.detectZeroes(arg)
	case 'o':
		n, ok := parseUint(arg)
		if !ok {
			return c.die("Invalid offset '%s'", arg)
		}
		c.offset = n
	case 'e':
		n, err := tool.ParseLong(arg)
		if err != nil || n < 0 || n > 1<<31-1 {
			return c.die("Invalid shared device number '%s'", arg)
		}
		c.shared = int(n)
	case 'l':
		return c.loadSnapshot(arg)
	case 'k':
		if c.socket = arg; !strings.HasPrefix(arg, "/") {
			return c.die("socket path must be absolute")
		}
	case 'x':
		if c.name, c.nameSet = arg, true; len(arg) > proto.MaxString {
			return c.die("export name '%s' too long", arg)
		}
	case 'D':
		if c.description, c.descriptionSet = arg, true; len(arg) > proto.MaxString {
			return c.die("export description '%s' too long", arg)
		}
	}
	return false, 0
}

func (c *command) cacheOption(v int, arg string) (done bool, status int) {
	if v == 'n' {
		arg = "none"
	}
	if c.seenCache {
		return c.die("-n and --cache can only be specified once")
	}
	c.seenCache = true
	ok := false
	if c.writethrough, ok = tool.SetCache(&c.mode, arg); !ok {
		return c.die("Invalid cache mode `%s'", arg)
	}
	return false, 0
}

var detectModes = map[string]block.DetectZeroes{"off": block.DetectOff, "on": block.DetectOn, "unmap": block.DetectUnmap}

func (c *command) detectZeroes(arg string) (done bool, status int) {
	m, ok := detectModes[arg]
	if !ok {
		return c.die("Failed to parse detect_zeroes mode: invalid parameter value: %s", arg)
	}
	if m == block.DetectUnmap && !c.mode.Unmap {
		return c.die("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap")
	}
	c.mode.DetectZeroes = m
	return false, 0
}

// loadSnapshot handles "snapshot.id=…,snapshot.name=…" or a plain ID or name.
func (c *command) loadSnapshot(arg string) (done bool, status int) {
	c.load = true
	c.setReadOnly()
	if !strings.HasPrefix(arg, "snapshot.") {
		c.loadName, c.loadEither = arg, true
		return false, 0
	}
	o := c.ParseOptions(arg, "")
	c.loadID, _ = o.TakeString("snapshot.id")
	c.loadName, _ = o.TakeString("snapshot.name")
	if names := o.Names(); len(names) > 0 {
		c.Errorf("Invalid parameter '%s'", names[0])
		return c.die("Failed in parsing snapshot param `%s'", arg)
	}
	return false, 0
}

// check looks at the options as a whole and takes the operand; the result is an exit status or -1 to go on.
func (c *command) check(operands []string) int {
	for _, f := range []func(operands []string) (string, bool){c.checkOperands, c.checkActivation, c.checkTLS} {
		if msg, bad := f(operands); bad {
			c.Errorf("%s", msg)
			if msg == tooManyArguments {
				c.Err.Write([]byte("Try `" + c.Command + " --help' for more information.\n"))
			}
			return 1
		}
	}
	if c.selinux != "" && c.socket == "" && c.device == "" {
		c.Errorf("--selinux-label is not permitted without --socket")
		return 1
	}
	return -1
}

const tooManyArguments = "Invalid number of arguments"

func (c *command) checkOperands(operands []string) (string, bool) {
	if !c.list {
		if len(operands) != 1 {
			return tooManyArguments, true
		}
		c.file = operands[0]
		return "", false
	}
	switch {
	case len(operands) != 0:
		return "List mode is incompatible with a file name", true
	case c.nameSet || c.descriptionSet || c.offset != 0 || c.device != "" || c.disconnect || c.format != "" || c.load ||
		len(c.bitmaps) > 0 || c.depth || c.seenAIO || c.seenDiscard || c.seenCache:
		return "List mode is incompatible with per-device settings", true
	case c.fork:
		return "List mode is incompatible with forking", true
	}
	return "", false
}

// The usual address.
const (
	anyHost     = "0.0.0.0"
	defaultPort = "10809"
)

func (c *command) checkActivation([]string) (string, bool) {
	c.activated = activatedSockets()
	if c.activated == 0 {
		if c.socket == "" {
			if c.bind == "" {
				c.bind = anyHost
			}
			if c.port == "" {
				c.port = defaultPort
			}
		}
		return "", false
	}
	for _, x := range []struct {
		bad bool
		msg string
	}{
		{c.device != "", "NBD device can't be set when using socket activation"},
		{c.socket != "", "Unix socket can't be set when using socket activation"},
		{c.bind != "", "The interface can't be set when using socket activation"},
		{c.port != "", "TCP port number can't be set when using socket activation"},
		{c.selinux != "", "SELinux label can't be set when using socket activation"},
		{c.list, "List mode is incompatible with socket activation"},
		{c.activated > 1, "qemu-nbd does not support socket activation with LISTEN_FDS > 1"},
	} {
		if x.bad {
			return x.msg, true
		}
	}
	return "", false
}

func (c *command) checkTLS([]string) (string, bool) {
	if !c.tlsCredsSet {
		switch {
		case c.tlsAuthzSet:
			return "--tls-authz is not permitted without --tls-creds", true
		case c.tlsHostSet:
			return "--tls-hostname is not permitted without --tls-creds", true
		}
		return "", false
	}
	switch {
	case c.device != "":
		return "TLS is not supported with a host device", true
	case c.tlsAuthzSet && c.list:
		return "TLS authorization is incompatible with export list", true
	case c.tlsHostSet && !c.list:
		return "TLS hostname is only supported with export list", true
	}
	side := tlscreds.Server
	if c.list {
		side = tlscreds.Client
	}
	creds, err := tlscreds.Find(c.Graph.Object, c.tlsCreds, side)
	if err != nil {
		return "Failed to get TLS creds: " + err.Error(), true
	}
	c.creds = creds
	if c.tlsAuthzSet {
		c.authz = tlscreds.Late{Object: c.Graph.Object, ID: c.tlsAuthz}
	}
	return "", false
}

// address is where to listen or connect.
func (c *command) address() *sockaddr.Addr {
	if c.socket != "" {
		return &sockaddr.Addr{Type: sockaddr.Unix, Path: c.socket}
	}
	return &sockaddr.Addr{Type: sockaddr.Inet, Host: c.bind, Port: c.port}
}

// parseUint reads a number as C's strtoull with base 0 does, all of the text.
func parseUint(s string) (uint64, bool) {
	if n, err := tool.ParseLong(s); err == nil {
		return uint64(n), true // QEMU takes negative numbers too
	}
	var n uint64
	for i, r := range []byte(s) {
		if r < '0' || r > '9' || n > (1<<64-1-uint64(r-'0'))/10 || i == 0 && r == '0' {
			return 0, false
		}
		n = n*10 + uint64(r-'0')
	}
	return n, s != ""
}

// forked tells whether this process is the server that another one started.
func forked() bool { return os.Getenv(forkEnv) != "" }
