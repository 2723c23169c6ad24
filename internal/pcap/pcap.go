// Package pcap writes files of packets that other tools can show (PCAP Capture File Format, draft-ietf-opsawg-pcap).
package pcap

import (
	"encoding/binary"
	"os"
)

// Link types (tcpdump.org/linktypes.html).
const (
	Ethernet = 1
	USBMon   = 220 // Linux's usbmon with the header of 64 bytes
)

const (
	magic        = 0xa1b2c3d4
	major, minor = 2, 4
)

var le = binary.LittleEndian

// File is a file of packets. It must not be used by several goroutines at a time.
type File struct{ f *os.File }

// Start begins a file on f, which is closed with it, for packets of a link type of which at most limit bytes are kept.
func Start(f *os.File, link, limit uint32) (*File, error) {
	h := le.AppendUint32(nil, magic)
	h = le.AppendUint16(le.AppendUint16(h, major), minor)
	h = le.AppendUint64(h, 0) // zone and accuracy of the times
	h = le.AppendUint32(le.AppendUint32(h, limit), link)
	if _, err := f.Write(h); err != nil {
		f.Close()
		return nil, err
	}
	return &File{f}, nil
}

// Add adds a packet of n bytes, of which data are kept, at a time in microseconds of the epoch. Once a file takes no more, what follows is lost.
func (p *File) Add(us int64, n int, data []byte) {
	if p.f == nil {
		return
	}
	r := le.AppendUint32(nil, uint32(us/1000000))
	r = le.AppendUint32(r, uint32(us%1000000))
	r = le.AppendUint32(le.AppendUint32(r, uint32(len(data))), uint32(n))
	if _, err := p.f.Write(append(r, data...)); err != nil {
		p.Close()
	}
}

// Close ends the file.
func (p *File) Close() {
	if p.f != nil {
		p.f.Close()
		p.f = nil
	}
}
