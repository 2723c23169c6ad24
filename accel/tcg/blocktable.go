package tcg

import "goemu/tcg/ir"

// blockTable finds blocks by key: a hash table of chains through the blocks.
type blockTable struct {
	heads []*block // a power of two
	n     int
}

const minHeads = 1 << 15

func (k *key) hash() uint64 {
	h := uint64(k.host)*0x9e3779b97f4a7c15 ^ k.pc*0xc2b2ae3d27d4eb4f ^ (k.csBase^uint64(k.flags)<<32^uint64(k.cond))*0x165667b19e3779f9
	return h ^ h>>29
}

func (t *blockTable) head(k *key) **block { return &t.heads[k.hash()&uint64(len(t.heads)-1)] }

// get returns the block k, or nil.
func (t *blockTable) get(k *key) *block {
	if len(t.heads) == 0 {
		return nil
	}
	b := *t.head(k)
	for b != nil && b.key != *k {
		b = b.next
	}
	return b
}

// put enters a block whose key is not there.
func (t *blockTable) put(b *block) {
	if t.n >= len(t.heads) {
		t.grow()
	}
	t.n++
	h := t.head(&b.key)
	b.next, *h = *h, b
}

func (t *blockTable) grow() {
	old := t.heads
	t.heads = make([]*block, max(minHeads, 4*len(old)))
	populate(t.heads)
	for _, b := range old {
		for b != nil {
			next := b.next
			h := t.head(&b.key)
			b.next, *h = *h, b
			b = next
		}
	}
}

// remove takes a block out if it is there.
func (t *blockTable) remove(b *block) {
	if len(t.heads) == 0 {
		return
	}
	for p := t.head(&b.key); *p != nil; p = &(*p).next {
		if *p == b {
			*p = b.next
			b.next = nil
			t.n--
			return
		}
	}
}

// blockPool allocates blocks and their exits in larger pieces.
type blockPool struct {
	blocks []block
	outs   []outLink
}

const (
	poolBlocks = 1 << 10
	poolOuts   = 1 << 12
)

// outLink is an exit of a block: where it leads and the block that it is linked to.
type outLink struct {
	pc uint64
	to *block
}

// block returns a new block with these exits.
func (p *blockPool) block(exits []ir.Exit) *block {
	if len(p.blocks) == 0 {
		p.blocks = make([]block, poolBlocks)
		populate(p.blocks)
	}
	b := &p.blocks[0]
	p.blocks = p.blocks[1:]
	n := len(exits)
	if len(p.outs) < n {
		p.outs = make([]outLink, max(n, poolOuts))
		populate(p.outs)
	}
	b.out, p.outs = p.outs[:n:n], p.outs[n:]
	for i := range exits {
		b.out[i].pc = exits[i].PC
	}
	return b
}
