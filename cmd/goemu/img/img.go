// Package img is the image tool: qemu-img's commands.
package img

import (
	"strings"

	"goemu/block"
	"goemu/internal/getopt"
	"goemu/internal/tool"
)

// command is one run of a command.
type command struct {
	*tool.Tool
}

// spec describes a command.
type spec struct {
	name, usage string
	run         func(c *command, args []string) int
}

// specs are the commands, sorted by name.
func specs() []spec {
	return []spec{
		{"amend", "[--object objectdef] [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options filename", (*command).amend},
		{"bench", "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] [-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] filename", (*command).bench},
		{"bitmap", "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F source_fmt]] [-g granularity] [--object objectdef] [--image-opts | -f fmt] filename bitmap", (*command).bitmap},
		{"check", "[--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] filename", (*command).check},
		{"commit", "[--object objectdef] [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] [-p] filename", (*command).commit},
		{"compare", "[--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2", (*command).compare},
		{"convert", "[--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] [-U] [-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] [-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] [--salvage] filename [filename2 [...]] output_filename", (*command).convert},
		{"create", "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] filename [size]", (*command).create},
		{"dd", "[--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] if=input of=output", (*command).dd},
		{"info", "[--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename", (*command).info},
		{"map", "[--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] filename", (*command).mapImage},
		{"measure", "[--output=ofmt] [-O output_fmt] [-o options] [--size N | [--object objectdef] [--image-opts] [-f fmt] [-l snapshot_param] filename]", (*command).measure},
		{"snapshot", "[--object objectdef] [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d snapshot] filename", (*command).snapshot},
		{"rebase", "[--object objectdef] [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] -b backing_file [-F backing_fmt] filename", (*command).rebase},
		{"resize", "[--object objectdef] [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] filename [+ | -]size", (*command).resize},
	}
}

// Main runs the tool; args[0] is its name. It returns the exit status.
func Main(t *tool.Tool, args []string) int {
	defer t.Out.Flush()
	c := &command{t}
	t.Graph.Warn = func(text string) { t.Warnf("%s", text) }
	t.Graph.Report = func(text string) { t.Errorf("%s", text) }
	if len(args) < 2 {
		return t.Usage("Not enough arguments")
	}
	p := getopt.New(args, "+:hVT:", []getopt.Long{{Name: "help", Val: 'h'}, {Name: "version", Val: 'V'}, {Name: "trace", Arg: true, Val: 'T'}}, t.Err)
	for v := p.Next(); v != getopt.End; v = p.Next() {
		switch v {
		case getopt.Missing:
			return t.Usage("missing argument for option '%s'", p.Last())
		case getopt.Unknown:
			return t.Usage("unrecognized option '%s'", p.Last())
		case 'h':
			return c.help()
		case 'T':
			if done, status := t.Trace(p.Value); done {
				return status
			}
		case 'V':
			t.Printf("qemu-img version %s\n", tool.Version)
			return 0
		}
	}
	rest := p.Operands()
	if len(rest) == 0 {
		return 0
	}
	for _, s := range specs() {
		if s.name == rest[0] {
			return s.run(c, rest)
		}
	}
	return t.Usage("Command not found: %s", rest[0])
}

// option is an option of a command. set returns false to end the command with status 1.
type option struct {
	letter byte
	long   string
	arg    bool
	set    func(value string) bool
}

// The values of long options without a letter begin here.
const firstLong = 256

// parse reads a command's options. ok is false if the command ends with the status.
func (c *command) parse(args []string, options ...option) (operands []string, status int, ok bool) {
	short := ":h"
	long := []getopt.Long{{Name: "help", Val: 'h'}}
	byVal := map[int]*option{}
	for i := range options {
		o := &options[i]
		val := int(o.letter)
		if val == 0 {
			val = firstLong + i
		} else if byVal[val] == nil {
			short += string(rune(o.letter))
			if o.arg {
				short += ":"
			}
		}
		if o.long != "" {
			long = append(long, getopt.Long{Name: o.long, Arg: o.arg, Val: val})
		}
		byVal[val] = o
	}
	p := getopt.New(args, short, long, c.Err)
	for v := p.Next(); v != getopt.End; v = p.Next() {
		switch v {
		case getopt.Missing:
			return nil, c.Usage("missing argument for option '%s'", p.Last()), false
		case getopt.Unknown:
			return nil, c.Usage("unrecognized option '%s'", p.Last()), false
		case 'h':
			return nil, c.help(), false
		}
		o := byVal[v]
		if o.long == "object" {
			if done, status := c.AddObject(p.Value); done {
				return nil, status, false
			}
			continue
		}
		if !o.set(p.Value) {
			return nil, 1, false
		}
	}
	return p.Operands(), 0, true
}

// The options that many commands have.
var objectOption = option{long: "object", arg: true}

func flag(letter byte, long string, to *bool) option {
	return option{letter, long, false, func(string) bool { *to = true; return true }}
}

func text(letter byte, long string, to *string) option {
	return option{letter, long, true, func(v string) bool { *to = v; return true }}
}

// list is -o: several of them make one list.
func (c *command) list(to *string) option {
	return option{'o', "", true, func(v string) bool { return c.AppendList(to, v) }}
}

// size is an option whose argument is a size.
func (c *command) size(letter byte, long, what string, to *int64) option {
	return option{letter, long, true, func(v string) (ok bool) {
		*to, ok = c.Size(what, v)
		return ok
	}}
}

// jsonOutput reads the argument of --output.
func (c *command) jsonOutput(output string) (json, ok bool) {
	switch output {
	case "json":
		return true, true
	case "human", "":
		return false, true
	}
	c.Errorf("--output must be used with human or json as argument.")
	return false, false
}

// quietf prints unless quiet.
func (c *command) quietf(quiet bool, format string, a ...any) {
	if !quiet {
		c.Printf(format, a...)
	}
}

// format finds a format driver for new images; nil after a message.
func (c *command) format(name string) *block.Driver {
	d := c.Graph.FindDriver(name)
	if d == nil {
		c.Errorf("Unknown file format '%s'", name)
	}
	return d
}

// creatable finds the drivers for a new image and its file; nil after a message.
func (c *command) creatable(filename, format string) (d, proto *block.Driver) {
	d = c.format(format)
	if d == nil {
		return nil, nil
	}
	if proto = c.protocol(filename); proto == nil {
		return nil, nil
	}
	if !c.canCreate(d, proto) {
		return nil, nil
	}
	return d, proto
}

func (c *command) protocol(filename string) *block.Driver {
	proto, err := c.Graph.FindProtocol(filename, true)
	if err != nil {
		c.Report("", err)
		return nil
	}
	return proto
}

func (c *command) canCreate(d, proto *block.Driver) bool {
	if d.Create == nil {
		c.Errorf("Format driver '%s' does not support image creation", d.Name)
		return false
	}
	if proto.Create == nil {
		c.Errorf("Protocol driver '%s' does not support image creation", proto.Name)
		return false
	}
	return true
}

// optionHelp answers -o help of create and convert.
func (c *command) optionHelp(filename, format string) int {
	d := c.format(format)
	if d == nil {
		return 1
	}
	if d.Create == nil {
		c.Errorf("Format driver '%s' does not support image creation", format)
		return 1
	}
	tables := [][]block.Option{d.CreateOptions}
	if filename == "" {
		c.Printf("Supported %s options:\n", format)
	} else {
		proto := c.protocol(filename)
		if proto == nil {
			return 1
		}
		if proto.Create == nil {
			c.Errorf("Protocol driver '%s' does not support image creation", proto.Name)
			return 1
		}
		tables = append(tables, proto.CreateOptions)
		c.Printf("Supported options:\n")
	}
	tool.NewCreateOptions(tables...).Help(c.Out)
	if filename == "" {
		c.Printf("\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n")
	}
	return 0
}

// snapshotParam is the argument of -l: a name or ID, or both by name.
type snapshotParam struct {
	any, id, name string
	set           bool
}

// snapshotPrefix begins the long form.
const snapshotPrefix = "snapshot."

func (c *command) snapshotOption(to *snapshotParam) option {
	return option{'l', "", true, func(v string) bool {
		*to = snapshotParam{any: v, set: true}
		if !strings.HasPrefix(v, snapshotPrefix) {
			return true
		}
		o := tool.NewCreateOptions([]block.Option{{Name: snapshotPrefix + "id"}, {Name: snapshotPrefix + "name"}})
		if err := o.Parse(v); err != nil {
			c.Report("", err)
			c.Errorf("Failed in parsing snapshot param '%s'", v)
			return false
		}
		to.any = ""
		to.id, _ = o.Get(snapshotPrefix + "id")
		to.name, _ = o.Get(snapshotPrefix + "name")
		return true
	}}
}
