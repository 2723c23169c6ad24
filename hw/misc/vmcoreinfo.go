package misc

import (
	"encoding/binary"
	"errors"

	"goemu/hw/qdev"
	"goemu/migration/vmstate"
)

// CoreInfo is the device type vmcoreinfo: where a guest has put its own note for dumps of its memory (QEMU's docs/specs/vmcoreinfo.txt).
type CoreInfo struct {
	qdev.Base

	there bool
	item  [16]byte // le16 host's format, le16 guest's format, le32 size, le64 address
}

// Formats of the note.
const (
	CoreInfoNone = 0
	CoreInfoELF  = 1
)

const coreInfoGuest, coreInfoSize, coreInfoAddr = 2, 4, 8

var coreInfoClass = qdev.Class{Name: "vmcoreinfo", Category: qdev.Misc, NoHotplug: true, New: func() qdev.Device { return new(CoreInfo) },
	State: qdev.State(&vmstate.Description[CoreInfo]{Name: "vmcoreinfo", Version: 1, MinVersion: 1, Fields: []vmstate.Field[CoreInfo]{
		vmstate.Of("has_vmcoreinfo", func(c *CoreInfo) *bool { return &c.there }),
		number("vmcoreinfo.host_format", 0, 2), number("vmcoreinfo.guest_format", coreInfoGuest, 2),
		number("vmcoreinfo.size", coreInfoSize, 4), number("vmcoreinfo.paddr", coreInfoAddr, 8),
	}})}

// number is a field that is n bytes of the item: little endian there, big endian in the stream.
func number(name string, at, n int) vmstate.Field[CoreInfo] {
	return vmstate.Custom(name, n, func(c *CoreInfo, w *vmstate.Writer) {
		for i := range n {
			w.U8(c.item[at+n-1-i])
		}
	}, func(c *CoreInfo, r *vmstate.Reader) error {
		for i := range n {
			c.item[at+n-1-i] = r.U8()
		}
		return r.Err()
	})
}

// FindCoreInfo returns the device, nil if there is none.
func FindCoreInfo(t *qdev.Tree) *CoreInfo {
	for _, d := range t.Devices() {
		if c, ok := d.(*CoreInfo); ok {
			return c
		}
	}
	return nil
}

// Realize implements qdev.Device.
func (c *CoreInfo) Realize() error {
	if FindCoreInfo(c.Tree()) != nil {
		return errors.New("at most one vmcoreinfo device is permitted")
	}
	c.Reset()
	return nil
}

// Item are the bytes that the guest writes, Written hears that it has.
func (c *CoreInfo) Item() []byte { return c.item[:] }

// Written is described with Item.
func (c *CoreInfo) Written() { c.there = c.format() != CoreInfoNone }

func (c *CoreInfo) format() uint16 { return binary.LittleEndian.Uint16(c.item[coreInfoGuest:]) }

// Note is where the note is and in which format; ok is false if the guest has said nothing of one.
func (c *CoreInfo) Note() (format uint16, addr uint64, size uint32, ok bool) {
	return c.format(), binary.LittleEndian.Uint64(c.item[coreInfoAddr:]), binary.LittleEndian.Uint32(c.item[coreInfoSize:]), c.there
}

// Reset implements qdev.Device.
func (c *CoreInfo) Reset() {
	c.there, c.item = false, [16]byte{CoreInfoELF}
}
