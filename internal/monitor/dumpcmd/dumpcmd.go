// Package dumpcmd has the commands that write the guest's memory to a core file.
package dumpcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"goemu/accel/linear"
	"goemu/internal/dump"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/monitor/hmp"
	"goemu/internal/strerror"
	"goemu/qapi"
	"goemu/target/x86"
)

// Target is the machine.
type Target struct {
	VM     *mainloop.VM
	Memory *memory.AddressSpace
	CPUs   int
	// State is the state of a CPU. Preconditions: the machine lock is held and no CPU executes.
	State func(cpu int) *x86.State
	// GuestNote is where the guest has put its own note, in which format; ok tells whether it has. nil: it has no way to say so.
	GuestNote func() (format uint16, addr uint64, size uint32, ok bool)
}

// Service carries the commands out.
type Service struct {
	// Machine is the machine.
	Machine func() *Target
	// File finds a descriptor that a client handed over.
	File func(name string) (*os.File, error)
	Emit func(qapi.Event)
	// Block keeps the machine from being migrated for a reason, Unblock ends that.
	Block   func(reason string) error
	Unblock func(reason string)
	Warn    func(text string) // nil drops it

	busy   atomic.Bool
	mu     sync.Mutex
	status qapi.DumpStatus
	file   *dump.Core
}

// blocker is why there is no migration meanwhile.
const blocker = "Live migration disabled: dump-guest-memory in progress"

// packings are the formats with compressed pages.
var packings = map[qapi.DumpGuestMemoryFormat]dump.Packing{qapi.DumpGuestMemoryFormatKdumpZlib: dump.Zlib,
	qapi.DumpGuestMemoryFormatKdumpLzo: dump.LZO, qapi.DumpGuestMemoryFormatKdumpSnappy: dump.Snappy}

// DumpGuestMemory implements qapi.DumpCommands.
func (s *Service) DumpGuestMemory(_ context.Context, arg *qapi.DumpGuestMemoryArg) error {
	t := s.Machine()
	var packing dump.Packing
	if arg.Format != nil {
		packing = packings[*arg.Format]
	}
	kdump := packing != 0
	begin, length, err := filter(arg)
	if kdump && (arg.Paging || arg.Begin != nil || arg.Length != nil) {
		err = qapi.Errorf("kdump-compressed format doesn't support paging or filter")
	}
	mainloop.Lock.Lock()
	incoming := t.VM.State() == mainloop.StateInMigrate
	mainloop.Lock.Unlock()
	switch {
	case incoming:
		return qapi.Errorf("Dump not allowed during incoming migration.")
	case !s.busy.CompareAndSwap(false, true):
		return qapi.Errorf("There is a dump in process, please wait.")
	}
	if err != nil {
		s.busy.Store(false)
		return err
	}
	f, err := s.open(arg.Protocol)
	if err != nil {
		s.busy.Store(false)
		return err
	}
	if err := s.Block(blocker); err != nil {
		f.Close()
		s.busy.Store(false)
		return err
	}
	e, running, err := s.prepare(t, arg.Paging, begin, length)
	if err != nil {
		f.Close()
		s.set(qapi.DumpStatusFailed)
		s.resume(t, running)
		return err
	}
	write := e.Write
	if kdump {
		write = func(w io.Writer) error { return e.WriteKdump(w, packing) }
	}
	if arg.Detach != nil && *arg.Detach {
		go func() { _ = s.write(t, write, f, running) }() // the event tells of an error
		return nil
	}
	return s.write(t, write, f, running)
}

// filter reads the range that is wanted; length 0 is everything.
func filter(arg *qapi.DumpGuestMemoryArg) (begin, length uint64, err error) {
	switch {
	case arg.Begin != nil && arg.Length == nil:
		return 0, 0, qapi.Errorf("Parameter 'length' is missing")
	case arg.Begin == nil && arg.Length != nil:
		return 0, 0, qapi.Errorf("Parameter 'begin' is missing")
	case arg.Begin == nil:
		return 0, 0, nil
	case *arg.Length == 0:
		return 0, 0, qapi.Errorf("Invalid parameter 'length'")
	}
	return uint64(*arg.Begin), uint64(*arg.Length), nil
}

// open opens where the dump goes.
func (s *Service) open(protocol string) (*os.File, error) {
	if name, ok := strings.CutPrefix(protocol, "fd:"); ok {
		return s.File(name)
	}
	path, ok := strings.CutPrefix(protocol, "file:")
	if !ok {
		return nil, qapi.Errorf("Invalid parameter 'protocol'")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o400)
	if err != nil {
		return nil, qapi.Errorf("Could not open '%s': %s", path, strerror.Of(err))
	}
	return f, nil
}

// prepare stops the machine and looks at what there is to write; running tells whether it ran.
func (s *Service) prepare(t *Target, paging bool, begin, length uint64) (e *dump.Core, running bool, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	running = t.VM.Running()
	t.VM.Stop(mainloop.StateSaveVM)
	e = &dump.Core{Blocks: dump.Blocks(t.Memory, begin, length), Wide: dump.Far(dump.Blocks(t.Memory, 0, 0))}
	switch {
	case len(e.Blocks) == 0 && length != 0:
		return nil, running, qapi.Errorf("Invalid parameter 'begin'")
	case len(e.Blocks) == 0:
		return nil, running, qapi.Errorf("dump: no guest memory to dump")
	}
	if t.GuestNote != nil {
		if e.Guest, err = guestNote(t); err != nil && s.Warn != nil {
			s.Warn(err.Error())
		}
	}
	var maps []*x86.PageMap
	for i := range t.CPUs {
		st := t.State(i)
		e.CPUs = append(e.CPUs, st)
		maps = append(maps, linear.Map(t.Memory, st))
	}
	if len(e.CPUs) == 0 {
		return nil, running, qapi.Errorf("this feature or command is not currently supported")
	}
	if paging {
		e.Mappings = dump.Mappings(maps, e.Blocks)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.status = e, qapi.DumpStatusActive
	return e, running, nil
}

// guestNote reads the guest's own note. A dump is complete without.
func guestNote(t *Target) (*dump.GuestNote, error) {
	const formatELF = 1
	format, addr, size, ok := t.GuestNote()
	switch {
	case !ok:
		return nil, errors.New("guest note is not present")
	case size < dump.NoteHead || size > dump.MaxGuestNote:
		return nil, fmt.Errorf("guest note size is invalid: %d", size)
	case format != formatELF:
		return nil, fmt.Errorf("guest note format is unsupported: %d", format)
	}
	b := make([]byte, size)
	t.Memory.Read(addr, b)
	return dump.ReadGuestNote(b)
}

// write writes the file, tells of the end and lets the machine go on.
func (s *Service) write(t *Target, write func(io.Writer) error, f *os.File, running bool) error {
	err := write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	status, ev := qapi.DumpStatusCompleted, new(qapi.DumpCompletedEvent)
	if err != nil {
		status = qapi.DumpStatusFailed
		text := strerror.Of(err)
		var what *dump.Error
		if errors.As(err, &what) {
			if text = what.What; what.Err != nil {
				text += ": " + strerror.Of(what.Err)
			}
		}
		err = qapi.Errorf("%s", text)
		ev.Error = &text
	}
	s.set(status)
	ev.Result = s.current()
	s.Emit(ev)
	s.resume(t, running)
	return err
}

// resume ends the standstill.
func (s *Service) resume(t *Target, running bool) {
	s.Unblock(blocker)
	s.busy.Store(false)
	if running {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		t.VM.Start()
	}
}

func (s *Service) set(status qapi.DumpStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *Service) current() *qapi.DumpQueryResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &qapi.DumpQueryResult{Status: s.status}
	if s.file != nil {
		r.Completed, r.Total = int64(s.file.Written()), int64(s.file.Total())
	}
	if r.Status == "" {
		r.Status = qapi.DumpStatusNone
	}
	return r
}

// QueryDump implements qapi.DumpCommands.
func (s *Service) QueryDump(context.Context) (*qapi.DumpQueryResult, error) { return s.current(), nil }

// QueryDumpGuestMemoryCapability implements qapi.DumpCommands.
func (s *Service) QueryDumpGuestMemoryCapability(context.Context) (*qapi.DumpGuestMemoryCapability, error) {
	return &qapi.DumpGuestMemoryCapability{Formats: []qapi.DumpGuestMemoryFormat{qapi.DumpGuestMemoryFormatElf,
		qapi.DumpGuestMemoryFormatKdumpZlib, qapi.DumpGuestMemoryFormatKdumpLzo, qapi.DumpGuestMemoryFormatKdumpSnappy}}, nil
}

// HMP returns the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{{Name: "dump-guest-memory", Args: "paging:-p,detach:-d,zlib:-z,lzo:-l,snappy:-s,filename:F,begin:l?,length:l?", Params: "[-p] [-d] [-z|-l|-s] filename [begin length]",
		Help: "dump guest memory into file 'filename'.\n\t\t\t-p: do paging to get guest's memory mapping.\n\t\t\t-d: return immediately (do not wait for completion).\n" +
			"\t\t\t-z: dump in kdump-compressed format, with zlib compression.\n" +
			"\t\t\t-l: dump in kdump-compressed format, with lzo compression.\n\t\t\t-s: dump in kdump-compressed format, with snappy compression.\n" +
			"\t\t\tbegin: the starting physical address.\n\t\t\tlength: the memory size, in bytes.", Run: s.hmpDump}}
	info = []*hmp.Command{{Name: "dump", Help: "Display the latest dump status", Run: s.hmpInfo}}
	return commands, info
}

func (s *Service) hmpDump(m *hmp.Monitor, a *hmp.Args) error {
	detach := a.Bool("detach")
	arg := &qapi.DumpGuestMemoryArg{Paging: a.Bool("paging"), Protocol: "file:" + a.Text("filename"), Detach: &detach}
	for _, f := range []struct {
		option string
		format qapi.DumpGuestMemoryFormat
	}{{"zlib", qapi.DumpGuestMemoryFormatKdumpZlib}, {"lzo", qapi.DumpGuestMemoryFormatKdumpLzo}, {"snappy", qapi.DumpGuestMemoryFormatKdumpSnappy}} {
		switch {
		case !a.Bool(f.option):
		case arg.Format != nil:
			return errors.New("only one of '-z|-l|-s' can be set")
		default:
			arg.Format = &f.format
		}
	}
	if a.Has("begin") {
		v := a.Int("begin")
		arg.Begin = &v
	}
	if a.Has("length") {
		v := a.Int("length")
		arg.Length = &v
	}
	return s.DumpGuestMemory(m.Context(), arg)
}

func (s *Service) hmpInfo(m *hmp.Monitor, _ *hmp.Args) error {
	r := s.current()
	m.Printf("Status: %s\n", r.Status)
	if r.Status == qapi.DumpStatusActive {
		m.Printf("Finished: %.2f %%\n", 100*float64(r.Completed)/float64(max(r.Total, 1)))
	}
	return nil
}
