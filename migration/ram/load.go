package ram

import (
	"bytes"
	"sync"

	"goemu/internal/memory"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// Loader reads the sections "ram" of a stream into the blocks of a machine.
type Loader struct {
	Blocks []*memory.RAMBlock
	// Dropped tells whether a block that the machine does not have may be left out: memory of firmware that the machine makes anew.
	Dropped func(name string) bool

	// Sync, if set, waits for what the stream expects of other channels at the end of a part.
	Sync func() error

	last    *memory.RAMBlock
	mu      sync.Mutex
	dropped map[string]uint64     // blocks that are left out, with their sizes; guarded by mu
	size    uint64                // of last
	spare   [memory.PageSize]byte // for pages that do not lie wholly in a block
	blank   memory.Untouched
}

// Close ends the use of what the loader has opened.
func (l *Loader) Close() { l.blank.Close() }

// Ends reads a part without pages; false if it has some.
func Ends(r *vmstate.Reader) bool { return r.U64() == flagEOS && r.Err() == nil }

// Load reads one part of the section, up to its end mark.
func (l *Loader) Load(r *vmstate.Reader, version int) error {
	if version != Version {
		return wire.Invalid("Version %d of the RAM section is not understood", version)
	}
	l.blank.Forget()
	for {
		at := r.U64()
		if r.Err() != nil {
			return r.Err()
		}
		flags := at & flagMask
		at &^= flagMask
		var err error
		switch flags &^ flagContinue {
		case flagMemSize:
			err = l.list(r, at)
		case flagZero, flagPage, flagXBZRLE:
			err = l.page(r, at, flags)
		case flagEOS:
			if l.Sync != nil {
				return l.Sync()
			}
			return nil
		default:
			if flags == 0x100 || flags == 0x100|flagContinue {
				return wire.Invalid("Received an unexpected compressed page")
			}
			return wire.Invalid("Unknown combination of migration flags: 0x%x", flags)
		}
		if err != nil {
			return err
		}
	}
}

// maxBlocks is the largest number of blocks that a stream may list.
const maxBlocks = 4096

// list compares the blocks of the stream, total bytes, with the machine's.
func (l *Loader) list(r *vmstate.Reader, total uint64) error {
	for i := 0; total > 0; i++ {
		name := string(r.Raw(int(r.U8())))
		n := r.U64()
		if r.Err() != nil {
			return r.Err()
		}
		if n > total || i >= maxBlocks {
			return wire.Invalid("Illegal size 0x%x of RAM block \"%s\"", n, name)
		}
		total -= n
		b := l.find(name)
		switch {
		case b != nil && roundUp(b.Size()) != roundUp(n):
			return wire.Invalid("Size mismatch: %s: 0x%x != 0x%x: Invalid argument", name, n, b.Size())
		case b != nil:
		case l.Dropped != nil && l.Dropped(name):
			l.drop(name, roundUp(n))
		default:
			return wire.Invalid("Unknown ramblock \"%s\", cannot accept migration", name)
		}
	}
	return nil
}

// drop notes a block that is left out.
func (l *Loader) drop(name string, size uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped == nil {
		l.dropped = map[string]uint64{}
	}
	l.dropped[name] = size
}

// Find finds a block of the stream with its size in whole pages; b is nil if it is left out. Any goroutine may ask.
func (l *Loader) Find(name string) (b *memory.RAMBlock, size uint64, ok bool) {
	if b := l.find(name); b != nil {
		return b, roundUp(b.Size()), true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	size, ok = l.dropped[name]
	return nil, size, ok
}

func roundUp(n uint64) uint64 { return (n + memory.PageSize - 1) &^ (memory.PageSize - 1) }

func (l *Loader) find(name string) *memory.RAMBlock {
	for _, b := range l.Blocks {
		if b.Name() == name {
			return b
		}
	}
	return nil
}

// page reads the content of a page.
func (l *Loader) page(r *vmstate.Reader, at, flags uint64) error {
	if flags&flagContinue == 0 {
		name := string(r.Raw(int(r.U8())))
		if r.Err() != nil {
			return r.Err()
		}
		var ok bool
		if l.last, l.size, ok = l.Find(name); !ok {
			return wire.Invalid("Can't find block %s", name)
		}
	} else if l.size == 0 {
		return wire.Invalid("Ack, bad migration stream!")
	}
	if at >= l.size {
		return wire.Invalid("Illegal RAM offset %x", at)
	}
	dst := l.spare[:]
	if l.last != nil && l.last.Size()-at >= memory.PageSize {
		dst = l.last.Bytes()[at : at+memory.PageSize]
	}
	if flags&flagXBZRLE != 0 {
		if err := l.decode(r, dst, at); err != nil {
			return err
		}
	} else if flags&flagZero != 0 {
		fill := r.U8()
		if fill == 0 && l.last != nil && l.blank.Page(l.last, at>>memory.PageBits) {
			return r.Err()
		}
		if fill != 0 || !bytes.Equal(dst, zeroes[:]) {
			for i := range dst {
				dst[i] = fill
			}
		}
	} else if err := r.Full(dst); err != nil {
		return err
	}
	if l.last != nil {
		if &dst[0] == &l.spare[0] {
			copy(l.last.Bytes()[at:], dst)
		}
		l.blank.Touch(l.last, at>>memory.PageBits)
		l.last.MarkDirty(at, memory.PageSize)
	}
	return r.Err()
}

// decode reads the changes of a page.
func (l *Loader) decode(r *vmstate.Reader, dst []byte, at uint64) error {
	kind, n := r.U8(), int(r.U16())
	if r.Err() != nil {
		return r.Err()
	}
	switch {
	case kind != encodingXBZRLE:
		return wire.Invalid("Failed to load XBZRLE page - wrong compression!")
	case n > memory.PageSize:
		return wire.Invalid("Failed to load XBZRLE page - len overflow!")
	}
	src := r.Raw(n)
	if r.Err() != nil {
		return r.Err()
	}
	if l.last != nil && &dst[0] == &l.spare[0] {
		copy(dst, l.last.Bytes()[at:])
	}
	if !decodeXBZRLE(dst, src) && l.last != nil {
		return wire.Invalid("Failed to load XBZRLE page - decode error!")
	}
	return nil
}
