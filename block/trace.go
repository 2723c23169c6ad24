package block

import "goemu/internal/trace"

// The numbers of QEMU's flags in the lines of trace events.
var requestFlags = [...]struct {
	flag  Flags
	trace uint
}{{CopyOnRead, 0x1}, {ZeroWrite, 0x2}, {MayUnmap, 0x4}, {FUA, 0x10}, {Compressed, 0x20}, {Unchanged, 0x40}, {Serialising, 0x80}, {NoFallback, 0x100},
	{Prefetch, 0x200}, {NoWait, 0x400}}

const (
	openReadWrite, openDirect, openNativeAIO, openNoBacking = 0x2, 0x20, 0x80, 0x100
	openNoFlush, openCopyOnRead, openInactive, openCheck    = 0x200, 0x400, 0x800, 0x1000
	openAllowWrite, openUnmap, openProtocol, openNoIO       = 0x2000, 0x4000, 0x8000, 0x10000
	openAutoReadOnly, openIOUring                           = 0x20000, 0x40000
)

// traceRequest logs a request to the node.
func (n *Node) traceRequest(e trace.Event, off, length int64, fl Flags) {
	if !e.Traced() {
		return
	}
	var flags uint
	for _, f := range requestFlags {
		if fl&f.flag != 0 {
			flags |= f.trace
		}
	}
	e.Log("bs %p offset %d bytes %d flags 0x%x", n, off, length, flags)
}

// traceOpen logs that the node's driver is about to open it.
func (n *Node) traceOpen() {
	if !trace.BlockOpen.Traced() {
		return
	}
	m, flags := &n.mode, uint(0)
	for _, f := range [...]struct {
		set   bool
		trace uint
	}{{!m.ReadOnly, openReadWrite | openAllowWrite}, {m.Direct, openDirect}, {m.AIO == "native", openNativeAIO}, {m.NoBacking, openNoBacking}, {m.NoFlush, openNoFlush},
		{m.CopyOnRead, openCopyOnRead}, {m.Inactive, openInactive}, {m.Check, openCheck}, {m.Unmap, openUnmap}, {n.driver.Protocol, openProtocol},
		{m.NoIO, openNoIO}, {m.AutoReadOnly, openAutoReadOnly}, {m.AIO == "io_uring", openIOUring}} {
		if f.set {
			flags |= f.trace
		}
	}
	trace.BlockOpen.Log("bs %p filename \"%s\" flags 0x%x format_name \"%s\"", n, n.filename, flags, n.driver.Name)
}
