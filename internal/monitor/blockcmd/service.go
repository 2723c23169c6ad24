// Package blockcmd implements the monitor's commands about disks: nodes, jobs, snapshots, bitmaps, exports, media and limits. It binds what
// the block layer does to the schema; the rules are in the packages below block. It knows no session and no machine.
package blockcmd

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"goemu/block"
	"goemu/block/driver"
	"goemu/block/export"
	"goemu/block/export/nbd"
	"goemu/block/job"
	"goemu/internal/mainloop"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// Config is what a Service works on.
type Config struct {
	Drives *driver.Drives
	// Loop is held while a command runs; what jobs and exports tell waits for it, so that it comes after the command's answer. Nil: nothing waits.
	Loop sync.Locker
	// Emit sends an event to all sessions. It does not block.
	Emit func(qapi.Event)
	// Settle, if set, waits until what clients were told has been written, so that Out stays in order with it.
	Settle func()
	// Out gets what commands print for people besides their answers, as QEMU does on its standard output; nil drops it.
	Out io.Writer
	// Report prints an error that no client can be told of.
	Report func(text string)
	// IO runs a command of the disk exerciser on a backend; nil if there is none.
	// The error is for the user of the monitor.
	IO func(b *block.Backend, command string) error
	// IOThread tells whether there is an object of type iothread with that identifier; nil: there is none.
	IOThread func(id string) bool
	// NoDevice is the error for an identifier or a path that is no device of the guest. It is called under the machine lock; nil: there are none.
	NoDevice func(id string) error
	// VNCPassword sets the password of the VNC server, for the command change; nil: there is none.
	VNCPassword func(ctx context.Context, password string) error
	// DefaultBus is the bus type of drives that name none.
	DefaultBus string
}

// Service implements the commands of the schema's modules block-core, block, block-export, job and transaction.
type Service struct {
	Config
	Graph   *block.Graph
	Jobs    *job.List
	Exports *export.List
	NBD     *nbd.Control
}

// New makes the service. The graph's hooks for events are its own from then on.
func New(c Config) *Service {
	s := &Service{Config: c, Graph: c.Drives.Graph}
	s.Jobs = job.NewList(s.Graph, s.jobEvent)
	s.Jobs.Loop = c.Loop
	s.Exports = export.NewList(s.Graph)
	s.Exports.Loop = c.Loop
	s.Exports.Deleted = func(id string) { s.Emit(&qapi.BlockExportDeletedEvent{Id: id}) }
	s.NBD = &nbd.Control{Graph: s.Graph, List: s.Exports, Report: c.Report}
	if s.Graph.Report == nil {
		s.Graph.Report = c.Report
	}
	s.Graph.OnIOError = s.ioError
	s.Graph.OnCorrupt = s.corrupted
	s.Graph.OnTray = s.trayMoved
	s.Graph.OnQuorumBad = s.quorumBad
	s.Graph.OnQuorumFailure = s.quorumFailed
	c.Drives.OnUnplug = s.cancelJobs
	return s
}

// cancelJobs ends the jobs on a disk that goes with its device.
// Preconditions: the graph lock is held.
func (s *Service) cancelJobs(n *block.Node) {
	for _, j := range s.Jobs.Block() {
		if j.Uses(n) {
			_ = j.Cancel(false) // one that cannot be cancelled has ended
		}
	}
}

// Close ends all jobs and exports.
// Preconditions: Loop is not held.
func (s *Service) Close() {
	s.Exports.CloseAll("")
	s.NBD.End()
	if len(s.Jobs.Infos()) == 0 {
		return
	}
	s.Graph.Lock()
	drained := s.Graph.DrainAllBegin() // limits of speed do not hold here, so that no job waits for its requests for long
	s.Graph.Unlock()
	s.Jobs.CancelAll()
	s.Graph.Lock()
	block.DrainNodesEnd(drained)
	s.Graph.Unlock()
}

// locked runs f with the graph lock.
func (s *Service) locked(f func() error) error { return s.explain(s.underGraph(f)) }

func (s *Service) underGraph(f func() error) error {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	return f()
}

// diskless is the error for a guest device that has no backend, if it is one.
type diskless struct{ id string }

func (e diskless) Error() string { return notFound(e.id).Error() }

// Unwrap gives the form for clients.
func (e diskless) Unwrap() error { return notFound(e.id) }

// explain says what is wrong with a device without a backend. No lock is held.
func (s *Service) explain(err error) error {
	var d diskless
	if s.NoDevice == nil || !errors.As(err, &d) {
		return err
	}
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	if err := s.NoDevice(d.id); err != nil {
		return err
	}
	return block.Errorf(unix.EINVAL, "Device does not have a block device backend")
}

// withMachine is locked with the machine lock held: f looks at devices.
func (s *Service) withMachine(f func() error) error {
	return s.explain(func() error {
		mainloop.Lock.Lock()
		defer mainloop.Lock.Unlock()
		return s.underGraph(f)
	}())
}

// deref is what an optional member says, or its default.
func deref[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// some is a member that is there.
func some[T any](v T) *T { return &v }

// lookup finds the root of the backend, or the node, with the name.
// Preconditions: the graph lock is held.
func (s *Service) lookup(name string) (*block.Node, error) { return s.Graph.Lookup(name, name) }

// rootNode is lookup for nodes that no other node uses.
// Preconditions: the graph lock is held.
func (s *Service) rootNode(name string) (*block.Node, error) {
	n, err := s.lookup(name)
	if err != nil {
		return nil, err
	}
	for _, c := range n.Parents() {
		if c.ParentNode() != nil {
			return nil, block.Errorf(unix.EINVAL, "Need a root block node")
		}
	}
	return n, nil
}

// backend finds a backend: by its own name, or by the guest device that uses it. Exactly one must be given.
// Preconditions: the graph lock is held.
func (s *Service) backend(device, id *string) (*block.Backend, error) {
	switch {
	case (device == nil) == (id == nil):
		return nil, block.Errorf(unix.EINVAL, "Need exactly one of 'device' and 'id'")
	case id != nil:
		return s.deviceBackend(*id)
	}
	if b := s.Graph.FindBackend(*device); b != nil {
		return b, nil
	}
	return nil, notFound(*device)
}

// deviceBackend finds the backend of a guest device.
// Preconditions: the graph lock is held.
func (s *Service) deviceBackend(id string) (*block.Backend, error) {
	name, above := strings.TrimPrefix(id, "/machine/peripheral/"), false
	for _, b := range s.Graph.Backends() {
		d := b.AttachedDevice()
		switch {
		case d == nil || id == "":
		case d.Name == id, d.Name == name, strings.HasSuffix(d.Name, "/"+id): // or the end of a path
			return b, nil
		case strings.HasPrefix(d.Name, "/machine/peripheral/"+name+"/"):
			above = true
		}
	}
	if above {
		return nil, block.Errorf(unix.EINVAL, "Device does not have a block device backend")
	}
	return nil, diskless{id}
}

// notFound is the error for a device that is not there.
func notFound(name string) error {
	return &qapi.Error{Class: qapi.QapiErrorClassDeviceNotFound, Desc: "Device '" + name + "' not found"}
}

// below is the next node of a chain, or nil.
func below(n *block.Node) *block.Node {
	if c := n.FilterOrCOW(); c != nil {
		return c.Node()
	}
	return nil
}

// cowBelow is the backing file behind the filters above it, or nil.
func cowBelow(n *block.Node) *block.Node {
	if c := n.SkipFilters().COWChild(); c != nil {
		return c.Node()
	}
	return nil
}

// flags are what the members auto-finalize and auto-dismiss mean.
func flags(autoFinalize, autoDismiss *bool) (f job.Flags) {
	if !deref(autoFinalize, true) {
		f |= job.ManualFinalize
	}
	if !deref(autoDismiss, true) {
		f |= job.ManualDismiss
	}
	return f
}

// policy is what an error means to a job.
func policy(p *qapi.BlockdevOnError) job.Policy {
	v, _ := job.ParsePolicy(string(deref(p, qapi.BlockdevOnErrorReport)))
	return v
}

// background is the context of what goes on after a command has ended.
func background() context.Context { return context.Background() }
