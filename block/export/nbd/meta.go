package nbd

import (
	"strings"

	proto "goemu/block/nbdproto"
)

// Numbers of the metadata contexts in replies; bitmaps have those from idBitmap on.
const (
	idAllocation = iota
	idDepth
	idBitmap
)

// metaContexts are the metadata contexts that a client chose.
type metaContexts struct {
	exp        *Export
	allocation bool
	depth      bool
	bitmaps    []bool // by index in exp.bitmaps
}

// count is the number of contexts.
func (m *metaContexts) count() (n int) {
	for _, on := range append([]bool{m.allocation, m.depth}, m.bitmaps...) {
		if on {
			n++
		}
	}
	return n
}

// all chooses everything that the export has.
func (m *metaContexts) all() {
	m.allocation = true
	m.allOfQEMU()
}

func (m *metaContexts) allOfQEMU() {
	m.depth = m.exp.depth
	m.allBitmaps()
}

func (m *metaContexts) allBitmaps() {
	for i := range m.bitmaps {
		m.bitmaps[i] = true
	}
}

// query chooses what a query names. list is true for OptListMetaContext, which knows more general queries.
func (m *metaContexts) query(q string, list bool) {
	bitmapName, isBitmap := strings.CutPrefix(q, proto.ContextDirtyBitmap)
	switch {
	case q == proto.ContextAllocation, q == proto.ContextBase && list:
		m.allocation = true
	case q == proto.ContextQEMU && list:
		m.allOfQEMU()
	case q == proto.ContextAllocationDepth:
		m.depth = m.exp.depth
	case isBitmap && bitmapName == "" && list:
		m.allBitmaps()
	case isBitmap:
		for i, b := range m.exp.bitmaps {
			if b.Name() == bitmapName {
				m.bitmaps[i] = true
				return
			}
		}
	}
}

// metaContexts handles OptListMetaContext and OptSetMetaContext.
func (n *negotiation) metaContexts() error {
	c := n.c
	list := n.opt == proto.OptListMetaContext
	if !list && !c.structured {
		return n.drop(proto.RepErrInvalid, "request option '%s' when structured reply is not negotiated", n.opt)
	}
	if !list {
		c.meta = metaContexts{}
	}
	name, err := n.readName()
	if err != nil {
		return unless(err)
	}
	m := metaContexts{exp: c.srv.find(name)}
	if m.exp == nil {
		return n.drop(proto.RepErrUnknown, "export '%s' not present", shorten(name))
	}
	m.bitmaps = make([]bool, len(m.exp.bitmaps))
	if err := n.readQueries(&m, list); err != nil {
		return unless(err)
	}
	if err := n.sendContexts(&m, list); err != nil {
		return err
	}
	if err := n.reply(proto.RepAck, nil); err != nil {
		return err
	}
	if !list {
		c.meta = m
	}
	return nil
}

// readQueries reads the queries; what follows the last one is the client's mistake and skipped.
func (n *negotiation) readQueries(m *metaContexts, list bool) error {
	queries, err := n.readUint32()
	if err != nil {
		return err
	}
	if list && queries == 0 {
		m.all()
	}
	for range queries {
		length, err := n.readUint32()
		if err != nil {
			return err
		}
		if length > proto.MaxString { // too long for any name that is known here
			if length > n.left {
				return answered{n.drop(proto.RepErrInvalid, "Inconsistent lengths in option %s", n.opt)}
			}
			n.left -= length
			if err := proto.Drop(n.c.conn, int64(length)); err != nil {
				return err
			}
			continue
		}
		q, err := n.read(length, true)
		if err != nil {
			return err
		}
		m.query(string(q), list)
	}
	if n.left > 0 {
		left := n.left
		n.left = 0
		return proto.Drop(n.c.conn, int64(left))
	}
	return nil
}

func (n *negotiation) sendContexts(m *metaContexts, list bool) error {
	send := func(on bool, id uint32, name string) error {
		if !on {
			return nil
		}
		if list {
			id = 0
		}
		return n.reply(proto.RepMetaContext, append(be.AppendUint32(nil, id), name...))
	}
	if err := send(m.allocation, idAllocation, proto.ContextAllocation); err != nil {
		return err
	}
	if err := send(m.depth, idDepth, proto.ContextAllocationDepth); err != nil {
		return err
	}
	for i, b := range m.exp.bitmaps {
		if err := send(m.bitmaps[i], idBitmap+uint32(i), proto.ContextDirtyBitmap+b.Name()); err != nil {
			return err
		}
	}
	return nil
}
