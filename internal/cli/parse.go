package cli

import (
	"fmt"
	"strings"

	"goemu/internal/config"
)

// Query is something to print instead of starting a machine.
type Query uint8

// The queries.
const (
	QueryNone        Query = iota
	QueryHelp              // -help
	QueryVersion           // -version
	QueryMachines          // -machine help
	QueryMachine           // -machine TYPE,help: Request.Subject is the type
	QueryCPUs              // -cpu help
	QueryAccels            // -accel help
	QueryDevices           // -device help
	QueryDevice            // -device TYPE,help
	QueryObjects           // -object help
	QueryObject            // -object TYPE,help
	QueryTraceEvents       // -trace help
	QueryChardevs          // -chardev help
	QueryDisplays          // -display help
	QueryLogItems          // -d help
	QueryVGA               // -vga help
	QueryFormats           // -drive format=help
	QueryNetdevs           // -netdev help
	QueryDataDirs          // -L help
	QueryAudio             // -audiodev help
	QueryGroup             // -rtc help: Request.Subject is the name in Groups
)

// Request is the result of parsing.
type Request struct {
	VM      config.VM
	Query   Query
	Subject string
	Usage   string // text of QueryHelp
	// Warnings are texts for stderr, after "prog: ".
	Warnings []string
}

// parser carries the state of one parse.
type parser struct {
	Request
	prog   string
	origin string // "-device foo", of the option being applied
}

// stop ends the parse early because of a query.
type stop struct{}

func (stop) Error() string { return "stop" }

// Parse parses the arguments (without the program's name). prog is how the program was called, for messages. An error's text is
// what follows "prog: " in the message for the user.
func Parse(prog string, args []string) (*Request, error) {
	p := &parser{prog: prog}
	occ, err := split(args)
	if err != nil {
		return nil, err
	}
	p.VM.SMP = config.SMP{}
	p.VM.BootOrder = config.BootOrder{Order: defaultBoot, Wait: -1, Restart: -1}
	for _, o := range occ {
		p.origin = o.origin
		err := p.checkWords(o.row, o.value)
		if err == nil {
			err = o.row.apply(p, o.value)
		}
		if err == (stop{}) {
			return &p.Request, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return &p.Request, p.finish()
}

// occurrence is one option as it stands on the command line.
type occurrence struct {
	row           *option
	origin, value string
}

// split matches arguments with rows. All of them are matched before any is applied, so that a misspelt option is reported first.
func split(args []string) ([]occurrence, error) {
	var out []occurrence
	for i := 0; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") || a == "-" {
			out = append(out, occurrence{&positional, a, a})
			continue
		}
		row := lookup(strings.TrimPrefix(a[1:], "-"))
		if row == nil {
			return nil, fmt.Errorf("%s: invalid option", a)
		}
		o := occurrence{row: row, origin: a}
		if row.arg {
			if i++; i == len(args) {
				return nil, fmt.Errorf("%s: requires an argument", a)
			}
			o.value = args[i]
			o.origin += " " + o.value
		}
		out = append(out, o)
	}
	return out, nil
}

var positional = option{name: "disk_image", arg: true, apply: disk(0)}

// disk adds an image as disk number index, cdrom as the disc in the machine's CD-ROM drive.
func disk(index int) func(*parser, string) error {
	return func(p *parser, file string) error {
		p.VM.Drives = append(p.VM.Drives, config.Source{Origin: p.origin, Value: fmt.Sprintf("file=%s,index=%d,media=disk", doubleCommas(file), index)})
		return nil
	}
}

// floppy adds an image as floppy disk number index; without a file there is an empty drive.
func floppy(index int) func(*parser, string) error {
	return func(p *parser, file string) error {
		v := fmt.Sprintf("if=floppy,index=%d", index)
		if file != "" {
			v = fmt.Sprintf("file=%s,%s", doubleCommas(file), v)
		}
		p.VM.Drives = append(p.VM.Drives, config.Source{Origin: p.origin, Value: v})
		return nil
	}
}

func cdrom(p *parser, file string) error {
	p.VM.Drives = append(p.VM.Drives, config.Source{Origin: p.origin, Value: "file=" + doubleCommas(file) + ",index=2,media=cdrom"})
	return nil
}

// pflash adds the next flash chip.
func pflash(p *parser, file string) error {
	p.VM.Drives = append(p.VM.Drives, config.Source{Origin: p.origin, Value: "file=" + doubleCommas(file) + ",if=pflash"})
	return nil
}

func doubleCommas(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// finish makes the checks that need all options.
func (p *parser) finish() error {
	b := &p.VM.Boot
	switch {
	case b.HasAppend && b.Kernel == "":
		return fmt.Errorf("-append only allowed with -kernel option")
	case b.HasInitrd && b.Kernel == "":
		return fmt.Errorf("-initrd only allowed with -kernel option")
	case p.VM.LoadVM != "" && p.VM.Incoming != "":
		return fmt.Errorf("'incoming' and 'loadvm' options are mutually exclusive")
	case p.VM.LoadVM != "" && p.VM.Preconfig:
		return fmt.Errorf("'preconfig' and 'loadvm' options are mutually exclusive")
	case p.VM.Preconfig && p.VM.Incoming != "" && p.VM.Incoming != "defer":
		return fmt.Errorf("'preconfig' supports '-incoming defer' only")
	}
	if p.VM.Nographic && p.VM.Daemonize && !p.VM.NoDefaults {
		return fmt.Errorf("-nographic cannot be used with -daemonize")
	}
	if p.VM.Display == "curses" && p.VM.Daemonize {
		return fmt.Errorf("curses display cannot be used with -daemonize")
	}
	return p.resolveSMP()
}

// usage renders -help.
func usage(prog string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s [options] [disk_image]\n\n'disk_image' is a raw hard disk image for IDE hard disk 0\n", prog)
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n%s\n", s.title)
		for _, o := range s.rows {
			if o.help != "" {
				fmt.Fprintf(&b, "-%s%s\n", o.name, o.help)
			}
		}
	}
	b.WriteString("\nDuring emulation with -nographic or mux=on, the following keys are useful:\nctrl-a h    show the keys\nctrl-a x    exit the emulator\nctrl-a b    send a break\nctrl-a c    switch between console and monitor\n")
	return b.String()
}

// errorf makes an error that starts with the option being applied.
func (p *parser) errorf(format string, a ...any) error {
	return fmt.Errorf("%s: %w", p.origin, fmt.Errorf(format, a...))
}

// query ends the parse with a query.
func (p *parser) query(q Query, subject string) error {
	p.Query, p.Subject = q, subject
	return stop{}
}

// isHelp tells whether a value asks for help.
func isHelp(s string) bool { return s == "help" || s == "?" }

// wantsHelp tells whether a list of pairs has the member "help".
func wantsHelp(o config.Options) bool {
	for _, p := range o.Pairs {
		if isHelp(p.Key) {
			return true
		}
	}
	return false
}
