package usb

import (
	"fmt"
	"os"
	"time"

	"goemu/internal/pcap"
)

// capture records a device's packets in a file for people with Wireshark: a record of Linux's usbmon for each begin and end of a transfer
// (Linux, Documentation/usb/usbmon.rst). A nil capture records nothing.
type capture struct{ out *pcap.File }

const (
	monHeader     = 64
	captureData   = 256 // bytes that are kept of a transfer
	monSubmitted  = 'S'
	monCompleted  = 'C'
	monNoSetup    = '-'
	monHasData    = '='
	monDataLater  = '<'
	monDataBefore = '>'
	errnoNoDevice = -19
	errnoRemoteIO = -121
)

// monTypes are usbmon's numbers for the kinds of endpoints.
var monTypes = [4]uint8{TransferControl: 2, TransferIsoch: 0, TransferBulk: 3, TransferInterrupt: 1}

func startCapture(file string) (*capture, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open %s failed", file)
	}
	out, err := pcap.Start(f, pcap.USBMon, controlBytes+monHeader)
	if err != nil {
		return nil, fmt.Errorf("write %s failed", file)
	}
	return &capture{out}, nil
}

func (c *capture) end() {
	if c != nil {
		c.out.Close()
	}
}

// monPacket is what a record says of a transfer.
type monPacket struct {
	id            uint64
	kind, ep, dev uint8
	setup         *[8]byte // of a control transfer that begins
	status        Status
	length        int
	data          []byte // at most what is kept
}

// record writes the begin or the end of a transfer in the direction that in says: data go with the end of one to the host, and with the begin
// of another.
func (c *capture) record(m *monPacket, begins, in bool) {
	now := time.Now()
	flag := byte(monHasData)
	switch {
	case begins && in:
		flag = monDataLater
	case !begins && !in:
		flag = monDataBefore
	}
	if flag != monHasData {
		m.length, m.data = 0, nil
	}
	h := make([]byte, monHeader, monHeader+len(m.data))
	le.PutUint64(h, m.id)
	h[8], h[9], h[10], h[11] = monCompleted, monTypes[m.kind&3], m.ep, m.dev
	h[14], h[15] = monNoSetup, flag
	if in {
		h[10] |= dirIn
	}
	le.PutUint64(h[16:], uint64(now.Unix()))
	le.PutUint32(h[24:], uint32(now.Nanosecond()/1000))
	if begins {
		h[8] = monSubmitted
		if m.setup != nil {
			h[14] = 0
			copy(h[40:], m.setup[:])
		}
	} else {
		le.PutUint32(h[28:], errnoOf(m.status))
	}
	le.PutUint32(h[32:], uint32(m.length))
	le.PutUint32(h[36:], uint32(monHeader+len(m.data)))
	c.out.Add(now.UnixMicro(), monHeader+m.length, append(h, m.data...))
}

func errnoOf(s Status) uint32 {
	n := int32(errnoRemoteIO)
	switch s {
	case OK:
		n = 0
	case NoDevice:
		n = errnoNoDevice
	}
	return uint32(n)
}

// control records the begin or the end of a control transfer, which p has led to.
func (c *capture) control(p *Packet, begins bool) {
	if c == nil {
		return
	}
	d := p.EP.dev
	n := min(max(int(d.length), 0), len(d.data))
	c.record(&monPacket{kind: TransferControl, dev: d.addr, setup: &d.setup, status: p.Status, length: n, data: d.data[:n]}, begins, d.toHost())
}

// data records the begin or the end of a packet of another endpoint.
func (c *capture) data(p *Packet, begins bool) {
	if c == nil || p.EP.Number == 0 {
		return
	}
	m := &monPacket{id: p.ID, kind: p.EP.Type, ep: p.EP.Number, dev: p.EP.dev.addr, status: p.Status, length: p.Size}
	if !begins {
		m.length = min(p.Size, p.Actual)
	}
	for _, b := range p.Data {
		m.data = append(m.data, b[:min(len(b), min(m.length, captureData)-len(m.data))]...)
	}
	c.record(m, begins, p.PID == In)
}
