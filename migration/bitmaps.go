package migration

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/migration/vmstate"
	"goemu/migration/wire"
)

// Section "dirty-bitmap": the dirty bitmaps of the disks, whose content the destination's nodes of the same names get. Its parts are chunks
// with a head of flags and, where they change, names, up to one with bitmapEOS (QEMU, docs of migration/block-dirty-bitmap.c).
const (
	bitmapSectionName                = "dirty-bitmap"
	bitmapSection, bitmapVersion     = 1, 1
	bitmapEOS                        = 0x01
	bitmapZeroes                     = 0x02 // of bitmapBits: there is no content
	bitmapHasName                    = 0x04
	bitmapHasNode                    = 0x08
	bitmapStart                      = 0x10 // be32 granularity, flags
	bitmapComplete                   = 0x20
	bitmapBits                       = 0x40 // be64 first sector, be32 number of sectors, be64 size, content
	bitmapMore                       = 0x80 // flags have more bytes
	bitmapEnabled, bitmapPersistent  = 0x01, 0x02
	bitmapAutoload                   = 0x04 // of old versions, without meaning
	bitmapChunk                      = 1024 // bytes of content sent at once
	bitmapMaxChunk                   = 10 * bitmapChunk
	bitmapContentAlign               = 32
	sectorBits                       = 9
	minGranularity, maxGranularity32 = bitmap.MinGranularity, 1 << 31
)

// sentBitmap is a bitmap that goes to the destination, under the names that the stream has for the node and for itself.
type sentBitmap struct {
	node, name string
	b          *bitmap.Bitmap
	flags      uint8 // bitmapEnabled, bitmapPersistent
	next       int64 // what was sent is before it
}

// left is the number of bytes of the disk about which nothing was sent.
func (s *sentBitmap) left() int64 { return s.b.Size() - s.next }

// bitmapBits is the number of bits that have not been sent.
func (o *outgoing) bitmapBits() (n int64) {
	for i := range o.bitmaps {
		s := &o.bitmaps[i]
		n += (s.left() + s.b.Granularity() - 1) / s.b.Granularity()
	}
	return n
}

// takeBitmaps lists the bitmaps of all disks and keeps others away from them; they are not stored in the images any more.
func (o *outgoing) takeBitmaps() error {
	if !o.e.Capability(CapDirtyBitmaps) {
		return nil
	}
	return o.e.withGraph(func(context.Context) error {
		g := o.e.M.Graph
		mapping := o.e.Parameters().BlockBitmapMapping
		seen := map[*block.Node]bool{}
		add := func(n *block.Node, name string) error {
			if seen[n] {
				return nil
			}
			seen[n] = true
			return o.takeOf(n, name, mapping)
		}
		backends := g.Backends()
		if mapping != nil { // it names nodes
			backends = nil
		}
		for _, b := range backends {
			n := b.Node()
			for n != nil && n.Filtered() != nil && !hasNamedBitmaps(n) {
				n = n.Filtered().Node()
			}
			if b.Name() != "" && n != nil && n.Filtered() == nil {
				if err := add(n, b.Name()); err != nil {
					return err
				}
			}
		}
		for _, n := range g.Nodes() {
			if err := add(n, n.Name()); err != nil {
				return err
			}
		}
		for i := range o.bitmaps {
			o.bitmaps[i].b.Change(func(s *bitmap.State) { s.Busy, s.SkipStore = true, true })
		}
		return nil
	})
}

func hasNamedBitmaps(n *block.Node) bool {
	for _, b := range n.Bitmaps() {
		if b.Name() != "" {
			return true
		}
	}
	return false
}

// takeOf lists the bitmaps of a node; with a mapping those that it has names for.
func (o *outgoing) takeOf(n *block.Node, name string, mapping []NodeAlias) error {
	alias := &NodeAlias{Node: name, Alias: name}
	if mapping != nil {
		if alias = findNode(mapping, name); alias == nil {
			return nil
		}
	}
	for _, b := range n.Bitmaps() {
		switch {
		case b.Name() == "":
			continue
		case name == "":
			return fmt.Errorf("Bitmap '%s' in unnamed node can't be migrated", b.Name())
		case alias.Alias[0] == '#':
			return fmt.Errorf("Bitmap '%s' in a node with auto-generated name '%s' can't be migrated", b.Name(), name)
		}
		if err := block.CheckBitmap(b, block.BitmapChange); err != nil {
			return err
		}
		as := &BitmapAlias{Alias: b.Name()}
		if mapping != nil {
			if as = findBitmap(alias.Bitmaps, b.Name()); as == nil {
				continue
			}
		} else if len(b.Name()) > maxAlias {
			return fmt.Errorf("Cannot migrate bitmap '%s' on node '%s': Name is longer than %d bytes", b.Name(), name, maxAlias)
		}
		s, state := sentBitmap{node: alias.Alias, name: as.Alias, b: b}, b.State()
		if state.Enabled {
			s.flags |= bitmapEnabled
		}
		if as.persistent(state.Persistent) {
			s.flags |= bitmapPersistent
		}
		o.bitmaps = append(o.bitmaps, s)
	}
	return nil
}

// giveBitmaps lets others use the bitmaps again, and stores them unless the destination does.
func (o *outgoing) giveBitmaps() {
	arrived := o.get() == Completed || o.postcopy.begun
	_ = o.e.withGraph(func(context.Context) error {
		for _, s := range o.bitmaps {
			s.b.Change(func(st *bitmap.State) { st.Busy, st.SkipStore = false, st.SkipStore && arrived })
		}
		return nil
	})
	o.bitmaps = nil
}

// announceBitmaps writes the section's beginning.
func (o *outgoing) announceBitmaps() {
	if !o.e.Capability(CapDirtyBitmaps) {
		return
	}
	o.sink.U8(wire.SectionStart)
	o.sink.U32(bitmapSection)
	o.sink.Name(bitmapSectionName)
	o.sink.U32(0)
	o.sink.U32(bitmapVersion)
	for i := range o.bitmaps {
		s := &o.bitmaps[i]
		o.bitmapHead(s, bitmapStart)
		o.sink.U32(uint32(s.b.Granularity()))
		o.sink.U8(s.flags)
	}
	o.sink.U8(bitmapEOS)
	footer(o.sink, bitmapSection)
}

// bitmapHead writes the head of a chunk, with the names that have changed since the last one: QEMU cannot look for a node after the machine runs.
func (o *outgoing) bitmapHead(s *sentBitmap, flags uint8) {
	if o.headed == nil || o.headed.node != s.node {
		flags |= bitmapHasNode
	}
	if o.headed != s {
		flags |= bitmapHasName
	}
	o.headed = s
	o.sink.U8(flags)
	if flags&bitmapHasNode != 0 {
		o.sink.Name(s.node)
	}
	if flags&bitmapHasName != 0 {
		o.sink.Name(s.name)
	}
}

// sendBitmaps writes what is left of the section, when the bitmaps do not change any more.
func (o *outgoing) sendBitmaps() {
	if !o.e.Capability(CapDirtyBitmaps) {
		return
	}
	o.sink.U8(wire.SectionEnd)
	o.sink.U32(bitmapSection)
	for i := range o.bitmaps {
		o.sendChunks(&o.bitmaps[i], -1)
	}
	for i := range o.bitmaps {
		o.bitmapHead(&o.bitmaps[i], bitmapComplete)
	}
	o.sink.U8(bitmapEOS)
	footer(o.sink, bitmapSection)
}

// sendChunks writes the next chunks of a bitmap's content, all if n is negative.
func (o *outgoing) sendChunks(s *sentBitmap, n int) {
	s.b.Do(func(m *bitmap.Map) {
		for step := 8 * bitmapChunk * m.Granularity(); s.next < m.Size() && n != 0; n-- {
			size := min(step, m.Size()-s.next)
			o.sendBits(s, m, s.next, size)
			s.next += size
		}
	})
}

// sendBits writes a part of a bitmap's content.
func (o *outgoing) sendBits(s *sentBitmap, m *bitmap.Map, off, n int64) {
	size := (m.SerialSize(off, n) + bitmapContentAlign - 1) &^ (bitmapContentAlign - 1)
	_, dirty := m.NextDirty(off, n)
	flags := uint8(bitmapBits)
	if !dirty {
		flags |= bitmapZeroes
	}
	o.bitmapHead(s, flags)
	o.sink.U64(uint64(off >> sectorBits))
	o.sink.U32(uint32((n + 1<<sectorBits - 1) >> sectorBits))
	if dirty {
		b := make([]byte, size)
		m.Serialize(b, off, n)
		o.sink.U64(uint64(size))
		o.sink.Bytes(b)
	}
}

// gotBitmap is a bitmap that comes in.
type gotBitmap struct {
	node       *block.Node
	b          *bitmap.Bitmap
	enabled    bool
	persistent bool // once it is whole
	whole      bool
}

// bitmapLoader reads the section. What it cannot make sense of keeps the bitmaps, and not the machine, from coming in.
type bitmapLoader struct {
	e       *Engine
	node    *block.Node
	aliases *NodeAlias   // of node; nil without a mapping
	as      *BitmapAlias // of the bitmap called name; nil without a mapping
	now     *gotBitmap
	name    string
	list    []*gotBitmap
	dropped bool
}

// chunk is a piece of the section.
type chunk struct {
	flags       uint32
	node, name  string // with bitmapHasNode, bitmapHasName
	granularity uint32 // with bitmapStart
	state       uint8  // with bitmapStart: bitmapEnabled, bitmapPersistent
	first       uint64 // sector, with bitmapBits
	sectors     uint32
	content     []byte // valid until more is read
}

// load reads a part of the section.
func (l *bitmapLoader) load(r *vmstate.Reader) error {
	for {
		c, err := readChunk(r)
		if err != nil {
			return err
		}
		if err := l.e.withGraph(func(ctx context.Context) error { return l.take(ctx, &c) }); err != nil || c.flags&bitmapEOS != 0 {
			return err
		}
	}
}

// readChunk reads a chunk, for which it may wait.
func readChunk(r *vmstate.Reader) (c chunk, err error) {
	if c.flags = uint32(r.U8()); c.flags&bitmapMore != 0 {
		if c.flags = c.flags<<8 | uint32(r.U8()); c.flags&bitmapMore != 0 {
			c.flags = c.flags<<16 | uint32(r.U16())
		}
	}
	if c.flags&bitmapHasNode != 0 {
		c.node = string(r.Raw(int(r.U8())))
	}
	if c.flags&bitmapHasName != 0 {
		c.name = string(r.Raw(int(r.U8())))
	}
	switch {
	case c.flags&bitmapStart != 0:
		c.granularity, c.state = r.U32(), r.U8()
	case c.flags&bitmapComplete != 0:
	case c.flags&bitmapBits != 0:
		c.first, c.sectors = r.U64(), r.U32()
		if c.flags&bitmapZeroes == 0 {
			size := r.U64()
			if r.Err() == nil && size > bitmapMaxChunk {
				return c, errors.New("Bitmap migration stream buffer allocation request is too large")
			}
			c.content = r.Raw(int(size))
		}
	}
	return c, r.Err()
}

// take acts on a chunk. Preconditions: the graph lock is held.
func (l *bitmapLoader) take(ctx context.Context, c *chunk) error {
	if l.dropped {
		return nil
	}
	if c.flags&bitmapHasNode != 0 {
		l.findNode(c.node, l.e.Parameters().BlockBitmapMapping)
	}
	if c.flags&bitmapHasName != 0 {
		if l.name, l.now = c.name, nil; l.node != nil {
			l.findBitmap(c.flags&bitmapStart != 0)
		}
	}
	switch {
	case c.flags&bitmapStart != 0:
		return l.start(ctx, c)
	case c.flags&bitmapComplete != 0:
		if l.known() {
			l.now.complete()
		}
	case c.flags&bitmapBits != 0:
		l.bits(c)
	}
	return nil
}

// complete ends the coming in of a bitmap.
func (g *gotBitmap) complete() {
	g.b.Do((*bitmap.Map).Finish)
	g.b.Reclaim()
	g.b.Change(func(s *bitmap.State) { s.Busy, s.Persistent = false, g.persistent })
	g.whole = true
}

// findNode looks for the node that the stream calls alias.
func (l *bitmapLoader) findNode(alias string, mapping []NodeAlias) {
	device, name := alias, alias
	if l.aliases = nil; mapping != nil {
		if l.aliases = findNodeAlias(mapping, alias); l.aliases == nil {
			l.node = nil
			l.drop(fmt.Sprintf("Error: Unknown node alias '%s'", printable([]byte(alias))))
			return
		}
		device, name = "", l.aliases.Node
	}
	l.node = l.e.M.Graph.Find(name)
	if b := l.e.M.Graph.FindBackend(device); device != "" && b != nil && b.Node() != nil {
		l.node = b.Node()
		for l.node.Filtered() != nil {
			l.node = l.node.Filtered().Node()
		}
	}
	if l.node == nil {
		l.drop(fmt.Sprintf("Cannot find device='%s' nor node-name='%s'", printable([]byte(device)), printable([]byte(name))))
	}
}

// findBitmap looks for the bitmap of the node that the stream calls l.name, which becomes its name here. Only one that starts may be missing.
func (l *bitmapLoader) findBitmap(starts bool) {
	if l.as = nil; l.aliases != nil {
		if l.as = findBitmapAlias(l.aliases.Bitmaps, l.name); l.as == nil {
			l.drop(fmt.Sprintf("Error: Unknown bitmap alias '%s' on node '%s' (alias '%s')", printable([]byte(l.name)), l.node.Name(), l.aliases.Alias))
			return
		}
		l.name = l.as.Name
	}
	for _, g := range l.list {
		if g.node == l.node && g.b.Name() == l.name {
			l.now = g
		}
	}
	if l.now == nil && !starts {
		l.drop(fmt.Sprintf("Error: unknown dirty bitmap '%s' for block device '%s'", printable([]byte(l.name)), l.node.Name()))
	}
}

// drop gives the bitmaps up.
func (l *bitmapLoader) drop(why string) {
	if !l.dropped {
		l.e.report(why)
		l.removeBroken()
	}
	l.dropped, l.now = true, nil
}

// known tells whether the chunk is about a bitmap that has been announced.
func (l *bitmapLoader) known() bool {
	if !l.dropped && l.now == nil {
		l.drop("Error: block device name is not set")
	}
	return !l.dropped
}

// start makes a bitmap.
func (l *bitmapLoader) start(ctx context.Context, c *chunk) error {
	switch {
	case l.dropped:
		return nil
	case l.node == nil:
		l.drop("Error: block device name is not set")
		return nil
	case l.node.FindBitmap(l.name) != nil:
		return wire.Invalid("Bitmap with the same name ('%s') already exists on destination", printable([]byte(l.name)))
	case c.state&^(bitmapEnabled|bitmapPersistent|bitmapAutoload) != 0:
		return wire.Invalid("Unknown flags in migrated dirty bitmap header: %x", c.state)
	case c.granularity < minGranularity || c.granularity > maxGranularity32 || bits.OnesCount32(c.granularity) != 1 || l.name == "":
		return wire.Invalid("Granularity of migrated dirty bitmap is invalid: 0x%x", c.granularity)
	}
	b, err := l.node.AddBitmap(ctx, l.name, int64(c.granularity))
	if err != nil {
		return wire.Invalid("%s", err)
	}
	l.now = &gotBitmap{node: l.node, b: b, enabled: c.state&bitmapEnabled != 0, persistent: l.as.persistent(c.state&bitmapPersistent != 0)}
	b.Change(func(s *bitmap.State) { s.Enabled = false })
	if !l.now.enabled || !b.Split() {
		b.Change(func(s *bitmap.State) { s.Busy = true })
	}
	l.list = append(l.list, l.now)
	return nil
}

// bits takes a part of a bitmap's content.
func (l *bitmapLoader) bits(c *chunk) {
	if !l.known() {
		return
	}
	off, length := int64(c.first<<sectorBits), int64(c.sectors)<<sectorBits
	why := ""
	l.now.b.Do(func(m *bitmap.Map) {
		if l.now.whole || c.first > uint64(m.Size())>>sectorBits || off%m.SerialAlign() != 0 || off+length < m.Size() && length%m.SerialAlign() != 0 {
			why = fmt.Sprintf("Part of migrated bitmap '%s' does not fit into the destination's", l.now.b.Name())
			return
		}
		if c.flags&bitmapZeroes != 0 {
			m.Fill(off, length, false)
			return
		}
		need, have := m.SerialSize(off, length), int64(len(c.content))
		if need > have || have > (need+bitmapContentAlign-1)&^(bitmapContentAlign-1) {
			why = fmt.Sprintf("Migrated bitmap granularity doesn't match the destination bitmap '%s' granularity", l.now.b.Name())
			return
		}
		m.Deserialize(c.content, off, length)
	})
	if why != "" {
		l.drop(why)
	}
}

// beforeRun lets the bitmaps record again, before the machine runs; those that are not whole do so beside what is still to come.
func (l *bitmapLoader) beforeRun() {
	_ = l.e.withGraph(func(context.Context) error {
		for _, g := range l.list {
			switch {
			case g.whole:
				g.b.Change(func(s *bitmap.State) { s.Enabled = g.enabled })
			case g.enabled:
				g.b.EnableSuccessor()
			}
		}
		return nil
	})
}

// giveUp removes the bitmaps that are not whole.
func (l *bitmapLoader) giveUp() {
	_ = l.e.withGraph(func(context.Context) error {
		l.removeBroken()
		return nil
	})
}

func (l *bitmapLoader) removeBroken() {
	l.list = slices.DeleteFunc(l.list, func(g *gotBitmap) bool {
		if !g.whole {
			g.node.RemoveBitmap(g.b)
		}
		return !g.whole
	})
}

// finish lets the bitmaps record again, before the machine runs. Those that are not whole are given up.
func (l *bitmapLoader) finish() {
	l.giveUp()
	l.beforeRun()
}
