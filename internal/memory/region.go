package memory

import (
	"math"
	"slices"
)

// Whole is the size of a container that covers every address.
const Whole = uint64(math.MaxInt64)

// Access limits the sizes of accesses. Zero values mean what QEMU's mean: for the accesses a guest may make, every size; for those the
// device implements, 1 to 4 bytes.
type Access struct {
	Min, Max  int
	Unaligned bool
}

// Region is a range of addresses with an owner, or a container of such ranges. Regions are built and changed under the machine lock.
type Region struct {
	name string
	size int64
	kind kind
	ops  Ops
	ram  *RAMBlock

	// Valid limits what the guest may do; anything else is a decode error. Impl is what Ops implements; other sizes are split or
	// widened. Accepts, if set, has the last word over a valid access.
	Valid, Impl Access
	Accepts     func(offset uint64, size int, write bool) bool
	// Unlocked marks Ops that do their own locking and are called without the machine lock.
	Unlocked bool
	// Posted are the writes that may have their effect later, Coalesced the parts of the region to which all writes may be kept back, in their
	// order, until the guest does anything that somebody has to act on. Both are set before the region is mapped.
	Posted    []Posted
	Coalesced []Span

	readOnly bool
	covered  bool // memory that can be written only through ops is read through them, too
	disabled bool
	target   *Region // of an alias
	targetAt int64

	parent   *Region
	at       int64
	priority int
	subs     []*Region // highest priority first
	aliases  []*Region
	spaces   []*AddressSpace // of which it is the root
}

type kind uint8

const (
	kindContainer kind = iota
	kindIO
	kindRAM
	kindAlias
)

func clipSize(size uint64) int64 { return int64(min(size, Whole)) }

// NewContainer returns a region that only holds others.
func NewContainer(name string, size uint64) *Region {
	return &Region{name: name, size: clipSize(size), kind: kindContainer}
}

// NewIO returns a region answered by ops.
func NewIO(name string, size uint64, ops Ops) *Region {
	return &Region{name: name, size: clipSize(size), kind: kindIO, ops: ops}
}

// NewRAM returns a region of new, zeroed memory.
func NewRAM(name string, size uint64) (*Region, error) {
	b, err := NewRAMBlock(name, size)
	if err != nil {
		return nil, err
	}
	return NewRAMFrom(b), nil
}

// NewRAMFrom returns a region of memory that a backend has mapped; the machine made last has it from now on.
func NewRAMFrom(b *RAMBlock) *Region {
	b.register()
	return &Region{name: b.name, size: clipSize(b.Size()), kind: kindRAM, ram: b}
}

// NewROM returns a region of memory that ignores the guest's writes.
func NewROM(name string, size uint64) (*Region, error) {
	r, err := NewRAM(name, size)
	if err == nil {
		r.readOnly = true
	}
	return r, err
}

// NewROMDevice returns a region of memory that the guest reads directly, while its writes go to ops. SetDirect makes reads go there, too.
func NewROMDevice(name string, size uint64, ops Ops) (*Region, error) {
	r, err := NewROM(name, size)
	if err == nil {
		r.ops = ops
	}
	return r, err
}

// NewROMView returns a region that shows the memory of another, and ignores the guest's writes.
func NewROMView(name string, of *Region) *Region {
	return &Region{name: name, size: of.size, kind: kindRAM, ram: of.ram, readOnly: true}
}

// SetDirect says whether the guest's reads of a region from NewROMDevice reach the memory.
func (r *Region) SetDirect(on bool) {
	if r.covered == on {
		r.covered = !on
		r.changed()
	}
}

// NewAlias returns a region that shows size bytes of target from offset on.
func NewAlias(name string, target *Region, offset, size uint64) *Region {
	r := &Region{name: name, size: clipSize(size), kind: kindAlias, target: target, targetAt: clipSize(offset)}
	target.aliases = append(target.aliases, r)
	return r
}

// Name returns the region's name.
func (r *Region) Name() string { return r.name }

// Size returns the region's size.
func (r *Region) Size() uint64 { return uint64(r.size) }

// RAM returns the memory behind a RAM or ROM region, nil for others.
func (r *Region) RAM() *RAMBlock { return r.ram }

// Ops returns the owner's functions, nil for RAM, aliases and containers.
func (r *Region) Ops() Ops { return r.ops }

// Offset returns the region's place in its container.
func (r *Region) Offset() uint64 { return uint64(r.at) }

// Mapped tells whether the region is in a container.
func (r *Region) Mapped() bool { return r.parent != nil }

// Add puts sub at offset. Where regions overlap, the higher priority wins, and among equals the one added last.
func (r *Region) Add(sub *Region, offset uint64, priority int) {
	if sub.parent != nil {
		panic("BUG: memory region " + sub.name + " is mapped already")
	}
	sub.parent, sub.at, sub.priority = r, clipSize(offset), priority
	i := slices.IndexFunc(r.subs, func(s *Region) bool { return priority >= s.priority })
	if i < 0 {
		i = len(r.subs)
	}
	r.subs = slices.Insert(r.subs, i, sub)
	r.changed()
}

// Remove takes sub out of r.
func (r *Region) Remove(sub *Region) {
	if sub.parent != r {
		panic("BUG: memory region " + sub.name + " is not mapped here")
	}
	r.subs = slices.DeleteFunc(r.subs, func(s *Region) bool { return s == sub })
	sub.parent = nil
	r.changed()
}

// SetEnabled shows or hides the region where it is mapped.
func (r *Region) SetEnabled(on bool) {
	if r.disabled == !on {
		return
	}
	r.disabled = !on
	r.changed()
}

// Enabled tells whether the region is shown.
func (r *Region) Enabled() bool { return !r.disabled }

// SetOffset moves the region within its container.
func (r *Region) SetOffset(offset uint64) {
	if r.at == clipSize(offset) {
		return
	}
	r.at = clipSize(offset)
	if p := r.parent; p != nil { // moved on top of its equals, as if added again
		Begin()
		p.Remove(r)
		p.Add(r, offset, r.priority)
		Commit()
	}
}

// Present tells whether a region inside r answers at offset.
func (r *Region) Present(offset uint64) bool {
	for _, s := range r.subs {
		if !s.disabled && offset >= uint64(s.at) && offset-uint64(s.at) < uint64(s.size) &&
			(s.kind != kindContainer || s.Present(offset-uint64(s.at))) {
			return true
		}
	}
	return false
}

// SetReadOnly makes writes to RAM be ignored, or to an alias of RAM through this alias.
func (r *Region) SetReadOnly(on bool) {
	if r.readOnly != on {
		r.readOnly = on
		r.changed()
	}
}

// SetAliasOffset changes what an alias shows.
func (r *Region) SetAliasOffset(offset uint64) {
	if r.targetAt != clipSize(offset) {
		r.targetAt = clipSize(offset)
		r.changed()
	}
}

// SetSize changes the size of a container, alias or I/O region.
func (r *Region) SetSize(size uint64) {
	if r.size != clipSize(size) {
		r.size = clipSize(size)
		r.changed()
	}
}

// transaction state, under the machine lock: nesting depth and the spaces to render again at the end.
var (
	depth   int
	pending = map[*AddressSpace]bool{}
)

// Begin delays the rendering of flat views until the matching Commit.
func Begin() { depth++ }

// Commit ends a transaction and publishes the new flat views.
func Commit() {
	if depth--; depth > 0 || len(pending) == 0 {
		return
	}
	for as := range pending {
		delete(pending, as)
		as.update()
	}
}

// changed renders every address space that shows r.
func (r *Region) changed() {
	Begin()
	r.mark()
	Commit()
}

func (r *Region) mark() {
	for _, as := range r.spaces {
		pending[as] = true
	}
	for _, a := range r.aliases {
		if a.parent != nil {
			a.mark()
		}
	}
	if r.parent != nil {
		r.parent.mark()
	}
}
