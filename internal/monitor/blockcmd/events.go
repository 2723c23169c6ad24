package blockcmd

import (
	"errors"

	"goemu/block"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// BeforeRun forgets failures of requests: the machine is about to go on.
func (s *Service) BeforeRun() {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	s.Graph.ResetIOStatus()
	s.Jobs.ResetIOStatus()
}

// ioError tells of a failed request of a guest.
func (s *Service) ioError(e block.IOError) {
	ev := &qapi.BlockIoErrorEvent{Device: e.Backend.Name(), Operation: qapi.IoOperationTypeRead, Action: qapi.BlockErrorAction(e.Action)}
	if e.Write {
		ev.Operation = qapi.IoOperationTypeWrite
	}
	if n := e.Backend.Node(); n != nil {
		ev.NodeName = some(n.Name())
	}
	if e.Backend.IOStatusEnabled() {
		ev.Nospace = some(errors.Is(e.Err, unix.ENOSPC))
	}
	ev.Reason = block.Strerror(block.Errno(e.Err))
	s.Emit(ev)
}

// corrupted tells that an image was found to be corrupt.
func (s *Service) corrupted(c block.Corruption) {
	ev := &qapi.BlockImageCorruptedEvent{Device: c.Node.DeviceName(), NodeName: some(c.Node.Name()), Msg: c.Message, Fatal: c.Fatal}
	if c.Offset >= 0 {
		ev.Offset = &c.Offset
	}
	if c.Size >= 0 {
		ev.Size = &c.Size
	}
	s.Emit(ev)
}

// trayMoved tells that a guest or a user moved a tray.
func (s *Service) trayMoved(b *block.Backend, open bool) {
	ev := &qapi.DeviceTrayMovedEvent{Device: b.Name(), TrayOpen: open}
	if d := b.AttachedDevice(); d != nil {
		ev.Id = d.Name
	}
	s.Emit(ev)
}

// sectors are the first sector of a range in bytes and the number of those that it touches.
func sectors(off, size int64) (first, count int64) {
	const sector = 512
	first = off / sector
	return first, (off+size+sector-1)/sector - first
}

// quorumBad tells that an image of a quorum failed or is not like the others.
func (s *Service) quorumBad(b block.QuorumBad) {
	ev := &qapi.QuorumReportBadEvent{Type: qapi.QuorumOpType(b.Op), NodeName: b.Node.Name()}
	ev.SectorNum, ev.SectorsCount = sectors(b.Offset, b.Size)
	if b.Err != nil {
		ev.Error = some(block.Strerror(block.Errno(b.Err)))
	}
	s.Emit(ev)
}

// quorumFailed tells that too few images of a quorum agreed.
func (s *Service) quorumFailed(n *block.Node, off, size int64) {
	ev := &qapi.QuorumFailureEvent{Reference: n.DeviceOrNodeName()}
	ev.SectorNum, ev.SectorsCount = sectors(off, size)
	s.Emit(ev)
}
