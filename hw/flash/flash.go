// Package flash is a NOR flash chip with Intel's command set (Common Flash Memory Interface Specification; Intel's StrataFlash data sheet),
// as QEMU's PCs have it for their firmware: bytes wide, its contents in a disk image.
package flash

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"

	"goemu/block"
	"goemu/hw/qdev"
	"goemu/internal/memory"
	"goemu/migration/vmstate"
)

// Commands. QEMU takes 0 for reading, too.
const (
	cmdRead, cmdReadArray               = 0x00, 0xff
	cmdProgram, cmdProgramAlso          = 0x10, 0x40
	cmdErase, cmdEraseAlso, cmdConfirm  = 0x20, 0x28, 0xd0
	cmdClear, cmdLock, cmdLockConfirm   = 0x50, 0x60, 0x01
	cmdStatus, cmdIdentify, cmdQuery    = 0x70, 0x90, 0x98
	cmdBuffer                           = 0xe8
	stReady, stEraseFailed, stBadWrite  = 0x80, 0x20, 0x10
	queryBlocks, querySize, queryBuffer = 0x2d, 0x27, 0x2a
	querySectors                        = 0x2f
	bufferLog                           = 8 // of a chip that is a byte wide
	noBuffer                            = ^uint32(0)
	sector                              = 512 // of the image
)

// query is the table of the chip's properties without those that depend on its size.
var query = [0x52]byte{
	0x10: 'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0, 0x45, 0x55, 0, 0, 0x07, 0x07, 0x0a, 0, 0x04, 0x04, 0x04, 0,
	0x28: 2, 0, bufferLog, 0, 1,
	0x31: 'P', 'R', 'I', '1', '0',
	0x3f: 1,
}

// Flash is the device type cfi.pflash01.
type Flash struct {
	qdev.Base
	props struct {
		Drive     *block.Source `prop:"drive" help:"Node name or ID of a block device to use as a backend"`
		Blocks    uint32        `prop:"num-blocks,default=0"`
		BlockSize uint64        `prop:"sector-length,default=0"`
		Width     uint8         `prop:"width,default=0"`
		Secure    bool          `prop:"secure,default=off" help:"on/off"`
		Name      string        `prop:"name"`
	}
	flashRegs
	backend  *block.Backend
	readOnly bool
	mem      *memory.Region
	table    [len(query)]byte
}

// flashRegs is the chip's state besides its contents.
type flashRegs struct {
	cycle, command, status uint8
	counter                uint64
	buffer                 [1 << bufferLog]byte
	bufferAt               uint32 // noBuffer while none is written
}

// Class is the device type.
var Class = qdev.Class{Name: "cfi.pflash01", Parents: []string{"sys-bus-device", "device"}, Internal: true, Category: qdev.Storage,
	New: func() qdev.Device { return new(Flash) }, State: qdev.State(&state)}

var state = vmstate.Description[Flash]{Name: "pflash_cfi01", Version: 1, MinVersion: 1,
	Fields: []vmstate.Field[Flash]{
		vmstate.Of("wcycle", func(f *Flash) *uint8 { return &f.cycle }),
		vmstate.Of("cmd", func(f *Flash) *uint8 { return &f.command }),
		vmstate.Of("status", func(f *Flash) *uint8 { return &f.status }),
		vmstate.Of("counter", func(f *Flash) *uint64 { return &f.counter }),
	},
	Subsections: []*vmstate.Description[Flash]{{Name: "pflash_cfi01_blk_write", Version: 1, MinVersion: 1,
		Needed: func(f *Flash) bool { return f.bufferAt != noBuffer },
		Fields: []vmstate.Field[Flash]{
			vmstate.Custom("blk_bytes", 0, func(f *Flash, w *vmstate.Writer) { w.Raw(f.buffer[:]) },
				func(f *Flash, r *vmstate.Reader) error { copy(f.buffer[:], r.Raw(len(f.buffer))); return r.Err() }),
			vmstate.Of("blk_offset", func(f *Flash) *uint32 { return &f.bufferAt }),
		}}},
	PostLoad: func(f *Flash, _ int) error {
		if f.bufferAt != noBuffer && uint64(f.bufferAt)+1<<bufferLog > f.mem.Size() {
			return fmt.Errorf("pflash_cfi01: buffer at %#x", f.bufferAt)
		}
		f.mem.SetDirect(f.cycle == 0 && f.command == cmdRead)
		return nil
	}}

// Sector is the granularity of erasing on the PCs, whose flash is a whole number of them.
const Sector = 4096

// New makes a chip of the machine with the disk called drive; its length is the image's. limit is how many bytes there may be.
func New(tree *qdev.Tree, name, drive string, limit uint64) (*Flash, error) {
	d, err := tree.New(&Class)
	if err != nil {
		return nil, err
	}
	f := d.(*Flash)
	for _, s := range []qdev.Setting{{Name: "drive", Value: drive}, {Name: "name", Value: name}, {Name: "width", Value: "1"}, {Name: "sector-length", Value: fmt.Sprint(Sector)}} {
		if err := qdev.Set(f, &tree.Links, s.Name, s.Value); err != nil {
			return nil, err
		}
	}
	if f.backend, err = f.props.Drive.Claim("/machine/" + name); err != nil {
		return nil, err
	}
	if err := f.measure(drive, limit); err != nil {
		f.Unrealize()
		return nil, err
	}
	tree.Machine.MustAdd(name, f.QOM())
	return f, qdev.Realize(f, tree.Root())
}

// measure takes the chip's length from the image.
func (f *Flash) measure(drive string, limit uint64) error {
	if f.backend == nil {
		return errors.New("Device needs media, but drive is empty")
	}
	n, err := f.backend.Length(context.Background())
	switch {
	case err != nil:
		return fmt.Errorf("can't get size of block device %s: %w", drive, err)
	case n == 0 || n%Sector != 0:
		return fmt.Errorf("system firmware block device %s has invalid size %d\nits size must be a non-zero multiple of %#x", drive, n, Sector)
	case uint64(n) > limit:
		return errTooBig
	}
	f.props.Blocks = uint32(n / Sector)
	return nil
}

var errTooBig = fmt.Errorf("combined size of system firmware exceeds %d bytes", MaxFirmware)

// MaxFirmware is how many bytes all chips of a machine may have.
const MaxFirmware = 8 << 20

// Realize implements qdev.Device.
func (f *Flash) Realize() (err error) {
	size := uint64(f.props.Blocks) * f.props.BlockSize
	f.readOnly = f.backend.ReadOnly()
	perm := block.PermConsistentRead
	if !f.readOnly {
		perm |= block.PermWrite
	}
	g := f.backend.Graph()
	g.Lock()
	err = f.backend.SetPerm(perm, block.PermAll)
	g.Unlock()
	if err != nil {
		return err
	}
	if f.mem, err = memory.NewROMDevice(f.props.Name, size, (*chipOps)(f)); err != nil {
		return err
	}
	f.mem.Impl = memory.Access{Min: 1, Max: 4}
	if err := f.backend.Read(context.Background(), 0, f.mem.RAM().Bytes()); err != nil {
		return fmt.Errorf("can't read initial flash content: %w", err)
	}
	f.table = query
	blocks := f.props.Blocks - 1
	f.table[querySize] = uint8(bits.TrailingZeros64(size))
	f.table[queryBlocks], f.table[queryBlocks+1] = uint8(blocks), uint8(blocks>>8)
	f.table[querySectors], f.table[querySectors+1] = uint8(f.props.BlockSize>>8), uint8(f.props.BlockSize>>16)
	f.status, f.bufferAt = stReady, noBuffer
	return nil
}

// Unrealize implements qdev.Device.
func (f *Flash) Unrealize() {
	if f.backend != nil {
		_ = f.backend.Flush(context.Background()) // nobody is left to hear of a failure
	}
	f.backend = nil
	f.props.Drive.Release()
}

// Reset implements qdev.Device.
func (f *Flash) Reset() {
	f.cycle, f.command, f.status, f.bufferAt = 0, cmdRead, stReady, noBuffer
	f.mem.SetDirect(true)
}

// Region is the chip's memory; Secure tells whether only system management mode may write to it.
func (f *Flash) Region() *memory.Region { return f.mem }

// Secure is described with Region.
func (f *Flash) Secure() bool { return f.props.Secure }

// save writes a changed part of the contents to the image.
func (f *Flash) save(at, n uint64) {
	f.mem.RAM().MarkDirty(at, n)
	from, to := at&^(sector-1), (at+n+sector-1)&^(sector-1)
	if err := f.backend.Write(context.Background(), int64(from), f.mem.RAM().Bytes()[from:to], 0); err != nil {
		fmt.Fprintf(os.Stderr, "Could not update PFLASH: %v\n", err)
	}
}

// chipOps answers the guest.
type chipOps Flash

// Read implements memory.Ops.
func (o *chipOps) Read(off uint64, size int) uint64 {
	switch o.command {
	case cmdProgram, cmdErase, cmdEraseAlso, cmdProgramAlso, cmdClear, cmdLock, cmdStatus, cmdBuffer:
		v := uint64(o.status)
		if size > 2 {
			v |= v << 16
		}
		return v
	case cmdIdentify: // the chip has no numbers
		return 0
	case cmdQuery:
		if at := off & 0xff; at < uint64(len(o.table)) {
			return uint64(o.table[at])
		}
		return 0
	case cmdRead:
	default:
		o.cycle, o.command = 0, cmdRead
	}
	return load(o.mem.RAM().Bytes()[off:], size)
}

func load(p []byte, size int) (v uint64) {
	for i := size - 1; i >= 0; i-- {
		v = v<<8 | uint64(p[i])
	}
	return v
}

// Write implements memory.Ops.
func (o *chipOps) Write(off uint64, size int, v uint64) {
	f := (*Flash)(o)
	if f.cycle == 0 {
		f.mem.SetDirect(false)
	}
	ok := false
	switch f.cycle {
	case 0:
		ok = f.start(off, uint8(v))
	case 1:
		ok = f.second(off, size, v)
	case 2:
		ok = f.fill(off, size, v)
	case 3:
		ok = f.confirm(uint8(v))
	}
	if !ok { // reads the contents again
		f.cycle, f.command = 0, cmdRead
		f.mem.SetDirect(true)
	}
}

// start takes the first cycle of a command; it is false if the chip goes back to reading.
func (f *Flash) start(off uint64, c uint8) bool {
	switch c {
	case cmdProgram, cmdProgramAlso, cmdLock, cmdQuery:
	case cmdErase:
		f.erase(off &^ (f.props.BlockSize - 1))
	case cmdClear:
		f.status = 0
		return false
	case cmdStatus, cmdIdentify:
		f.command = c
		return true
	case cmdBuffer:
		f.status |= stReady
	default:
		return false
	}
	f.cycle, f.command = 1, c
	return true
}

// erase sets a block to ones.
func (f *Flash) erase(at uint64) {
	f.status |= stReady
	if f.readOnly {
		f.status |= stEraseFailed
		return
	}
	b := f.mem.RAM().Bytes()[at : at+f.props.BlockSize]
	for i := range b {
		b[i] = 0xff
	}
	f.save(at, f.props.BlockSize)
}

// second takes the second cycle.
func (f *Flash) second(off uint64, size int, v uint64) bool {
	c := uint8(v)
	switch f.command {
	case cmdProgram, cmdProgramAlso:
		if f.readOnly {
			f.status |= stBadWrite
		} else {
			put(f.mem.RAM().Bytes()[off:], size, v)
			f.save(off, uint64(size))
		}
	case cmdErase, cmdEraseAlso:
		if c != cmdConfirm {
			return false
		}
	case cmdLock:
		if c != cmdConfirm && c != cmdLockConfirm {
			return false
		}
	case cmdQuery:
		return c != cmdReadArray
	case cmdBuffer:
		f.counter = uint64(c)
		f.cycle = 2
		f.bufferAt = uint32(off) &^ (1<<bufferLog - 1)
		copy(f.buffer[:], f.mem.RAM().Bytes()[f.bufferAt:])
		return true
	default:
		return false
	}
	f.cycle = 0
	f.status |= stReady
	return true
}

// fill takes what is written to the buffer.
func (f *Flash) fill(off uint64, size int, v uint64) bool {
	if f.command != cmdBuffer {
		return false
	}
	at := off - uint64(f.bufferAt)
	if f.readOnly || f.bufferAt == noBuffer || at >= 1<<bufferLog || at+uint64(size) > 1<<bufferLog {
		f.status |= stBadWrite
	} else {
		put(f.buffer[at:], size, v)
	}
	f.status |= stReady
	if f.counter == 0 {
		f.cycle = 3
	}
	f.counter--
	return true
}

func put(p []byte, size int, v uint64) {
	for i := range size {
		p[i] = uint8(v >> (8 * i))
	}
}

// confirm takes the end of writing to the buffer.
func (f *Flash) confirm(c uint8) bool {
	at := f.bufferAt
	f.bufferAt = noBuffer
	if f.command != cmdBuffer || c != cmdConfirm || f.status&stBadWrite != 0 || at == noBuffer {
		return false
	}
	copy(f.mem.RAM().Bytes()[at:], f.buffer[:])
	f.save(uint64(at), 1<<bufferLog)
	f.cycle = 0
	f.status |= stReady
	return true
}
