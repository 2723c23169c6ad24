// Package qio is the disk exerciser: qemu-io's commands.
package qio

import (
	"bufio"
	"os"
	"strings"
	"sync"

	"goemu/block"
	"goemu/internal/getopt"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// session is one run of the tool.
type session struct {
	*tool.Tool
	image     *block.Backend
	imageOpts bool // open's operand is a list of options
	misalign  bool
	quit      bool
	live      bool           // somebody waits for the output of requests in the background
	requests  sync.WaitGroup // of the aio_ commands
	output    sync.Mutex     // they print, too
}

// The values of options without a letter.
const (
	valObject = 256 + iota
	valImageOpts
)

var longOptions = []getopt.Long{
	{Name: "help", Val: 'h'}, {Name: "version", Val: 'V'}, {Name: "cmd", Arg: true, Val: 'c'}, {Name: "format", Arg: true, Val: 'f'},
	{Name: "read-only", Val: 'r'}, {Name: "snapshot", Val: 's'}, {Name: "nocache", Val: 'n'}, {Name: "copy-on-read", Val: 'C'},
	{Name: "misalign", Val: 'm'}, {Name: "native-aio", Val: 'k'}, {Name: "aio", Arg: true, Val: 'i'}, {Name: "discard", Arg: true, Val: 'd'},
	{Name: "cache", Arg: true, Val: 't'}, {Name: "object", Arg: true, Val: valObject}, {Name: "image-opts", Val: valImageOpts},
	{Name: "force-share", Val: 'U'}, {Name: "trace", Arg: true, Val: 'T'},
}

// start is what the command line says.
type start struct {
	opening
	format   string
	commands []string
}

// Main runs the tool; args[0] is its name. It returns the exit status.
func Main(t *tool.Tool, args []string) int {
	s := &session{Tool: t}
	defer t.Out.Flush()
	t.Graph.Warn = func(text string) { t.Warnf("%s", text) }
	t.Graph.Report = func(text string) { t.Errorf("%s", text) }
	var st start
	st.mode = block.Mode{Unmap: true}
	st.writethrough = true
	p := getopt.New(args, "hVc:d:f:rsnCmki:t:T:U", longOptions, t.Err)
	for v := p.Next(); v != getopt.End; v = p.Next() {
		if done, status := s.option(&st, v, p.Value); done {
			return status
		}
	}
	ops := p.Operands()
	if len(ops) > 1 {
		s.usage()
		return 1
	}
	if st.format != "" && s.imageOpts {
		s.Errorf("--image-opts and -f are mutually exclusive")
		return 1
	}
	if len(ops) == 1 && !s.openFirst(&st, ops[0]) {
		return 1
	}
	failed := s.loop(st.commands)
	s.requests.Wait()
	t.Close(s.image)
	if failed {
		return 1
	}
	return 0
}

// option handles one option of the command line; done ends the program.
func (s *session) option(st *start, v int, value string) (done bool, status int) {
	switch v {
	case 's':
		st.snapshot = true
	case 'n':
		st.mode.Direct, st.writethrough = true, false
	case 'C':
		st.mode.CopyOnRead = true
	case 'd':
		if !tool.SetDiscard(&st.mode, value) {
			s.Errorf("Invalid discard option: %s", value)
			return true, 1
		}
	case 'f':
		st.format = value
	case 'c':
		st.commands = append(st.commands, value)
	case 'r':
		st.mode.ReadOnly = true
	case 'm':
		s.misalign = true
	case 'k':
		st.mode.AIO = "native"
	case 'i':
		if !tool.SetAIO(&st.mode, value) {
			s.Errorf("Invalid aio option: %s", value)
			return true, 1
		}
	case 't':
		var ok bool
		if st.writethrough, ok = tool.SetCache(&st.mode, value); !ok {
			s.Errorf("Invalid cache option: %s", value)
			return true, 1
		}
	case 'U':
		st.share = true
	case 'T':
		return s.Trace(value)
	case valObject:
		return s.AddObject(value)
	case valImageOpts:
		s.imageOpts = true
	case 'V':
		s.Printf("qemu-io version %s\n", tool.Version)
		return true, 0
	case 'h':
		s.usage()
		return true, 0
	default:
		s.usage()
		return true, 1
	}
	return false, 0
}

// openFirst opens the image of the command line.
func (s *session) openFirst(st *start, name string) bool {
	if s.imageOpts {
		st.options, name = s.ParseOptions(name, ""), ""
	} else if st.format != "" {
		st.options = block.OptionsOf("driver", st.format)
	}
	return s.open(name, &st.opening) == nil
}

const usageText = `Usage: %[1]s [OPTIONS]... [-c STRING]... [file]
QEMU Disk exerciser

  --object OBJECTDEF   define an object, such as a 'secret'
  --image-opts         file is a list of options
  -c, --cmd STRING     run a command with its arguments
  -f, --format FMT     use this block driver
  -r, --read-only      open the file for reading only
  -s, --snapshot       write into a temporary file
  -n, --nocache        bypass the host's cache, as -t none
  -C, --copy-on-read   copy what is read from backing files
  -m, --misalign       use buffers that are not aligned
  -k, --native-aio     use the kernel's asynchronous I/O, as -i native
  -i, --aio=MODE       kind of asynchronous I/O (threads, native or io_uring)
  -t, --cache=MODE     cache mode of the image
  -d, --discard=MODE   discard mode of the image
  -U, --force-share    let others write the image meanwhile
  -T, --trace [[enable=]PATTERN][,events=FILE][,file=FILE]
                       log the events of this name, those a file lists; log to a file
  -h, --help           display this help and exit
  -V, --version        output version information and exit

'%[1]s -c help' lists the commands.
`

func (s *session) usage() { s.Printf(usageText, s.Name) }

// loop runs the commands given, or those on the input if there are none.
func (s *session) loop(commands []string) (failed bool) {
	for _, c := range commands {
		if s.quit {
			break
		}
		failed = s.run(c) != nil || failed
	}
	if commands != nil {
		return failed
	}
	in := bufio.NewReader(s.In)
	for !s.quit {
		s.output.Lock()
		s.Printf("%s> ", s.Name)
		s.Out.Flush()
		s.output.Unlock()
		line, err := in.ReadString('\n')
		if err != nil && line == "" {
			break
		}
		failed = s.run(strings.TrimSuffix(line, "\n")) != nil || failed
	}
	return failed
}

// errCommand is what a command returns that failed after a message.
var errCommand error = unix.EINVAL

// opening is how an image is opened.
type opening struct {
	mode         block.Mode
	writethrough bool
	share        bool
	snapshot     bool
	options      *block.Options // may be nil
}

// open opens an image; name may be empty.
func (s *session) open(name string, op *opening) error {
	if s.image != nil {
		s.Errorf("file open already, try 'help close'")
		return errCommand
	}
	o := op.options
	if o == nil {
		o = block.NewOptions()
	}
	if op.share {
		if v, ok := o.Get(tool.OptForceShare); ok && v != "on" {
			s.Errorf("-U conflicts with image options")
			return errCommand
		}
		o.Set(tool.OptForceShare, "on")
	}
	b, err := s.openBackend(name, o, op)
	if err != nil {
		if name != "" {
			s.Report("can't open device "+name+": ", err)
		} else {
			s.Report("can't open: ", err)
		}
		return errCommand
	}
	b.SetWriteCache(!op.writethrough)
	s.image = b
	return nil
}

// openBackend opens, with a temporary overlay if asked for.
func (s *session) openBackend(name string, o *block.Options, op *opening) (*block.Backend, error) {
	if !op.snapshot {
		return s.OpenBackend(name, o, op.mode, false, false)
	}
	return s.openOverlay(name, o, op.mode)
}

// openOverlay opens an image read-only below a new qcow2 file that nobody else sees.
func (s *session) openOverlay(name string, o *block.Options, m block.Mode) (*block.Backend, error) {
	g := s.Graph
	g.Lock()
	defer g.Unlock()
	base := m
	base.ReadOnly = true
	below, err := g.Open(s.Ctx, name, o, base)
	if err != nil {
		return nil, err
	}
	defer g.Unref(below)
	size, err := below.Length(s.Ctx)
	if err != nil {
		return nil, block.Errnof(block.Errno(err), "Could not get image size")
	}
	d := g.FindDriver("qcow2")
	if d == nil {
		return nil, block.Errorf(unix.EINVAL, "Unknown driver 'qcow2'")
	}
	f, err := os.CreateTemp("/var/tmp", "vl.")
	if err != nil {
		return nil, block.Errnof(unix.EIO, "Could not get temporary filename")
	}
	f.Close()
	defer os.Remove(f.Name())
	if err := g.Create(s.Ctx, d, f.Name(), size, block.NewOptions()); err != nil {
		return nil, block.Prepend(err, "Could not create temporary overlay '"+f.Name()+"': ")
	}
	m.NoFlush = true
	n, err := g.Open(s.Ctx, "", block.OptionsOf("driver", "qcow2", "file.driver", "file", "file.filename", f.Name(), "backing", below.Name()), m)
	if err != nil {
		return nil, err
	}
	return s.NewBackend(n, block.PermConsistentRead|block.PermWrite, block.PermAll)
}
