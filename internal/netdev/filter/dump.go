package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"goemu/internal/clock"
	"goemu/internal/netdev"
	"goemu/internal/userobj"
)

// The format of pcap files (PCAP Capture File Format, draft-ietf-opsawg-pcap): a header of u32 magic, u16 version, u32 zone, accuracy,
// length of records, link type; records of u32 seconds, microseconds, length in the file, length.
const (
	pcapMagic    = 0xa1b2c3d4
	pcapMajor    = 2
	pcapMinor    = 4
	pcapEthernet = 1
	dumpLength   = 65536 // of a frame in the file, unless maxlen says otherwise
)

// dump is the type filter-dump.
type dump struct {
	file   string
	maxLen uint64

	mu    sync.Mutex
	f     *os.File // guarded by mu
	start int64    // seconds of the host's clock when the guest's was zero
}

func dumpType() *userobj.Type {
	return newType("filter-dump", func() kind { return &dump{maxLen: dumpLength} },
		userobj.Field("file", "string", "", func(b *base) *string { return &b.kind.(*dump).file }, nil),
		userobj.Field("maxlen", "uint32", "", func(b *base) *uint64 { return &b.kind.(*dump).maxLen }, func(_ *base, v uint64) error {
			if v == 0 {
				return errors.New("Property 'filter-dump.maxlen' doesn't take value '0'")
			}
			return nil
		}))
}

func (d *dump) open(*base) error {
	if d.file == "" {
		return errors.New("dump filter needs 'file' property set!")
	}
	f, err := os.OpenFile(d.file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("net dump: can't open %s: %s", d.file, netdev.Reason(err))
	}
	h := le.AppendUint32(nil, pcapMagic)
	h = le.AppendUint16(le.AppendUint16(h, pcapMajor), pcapMinor)
	h = le.AppendUint32(le.AppendUint32(h, 0), 0)
	h = le.AppendUint32(le.AppendUint32(h, uint32(d.maxLen)), pcapEthernet)
	if _, err := f.Write(h); err != nil {
		_ = f.Close()
		return fmt.Errorf("net dump write error: %s", netdev.Reason(err))
	}
	d.f, d.start = f, time.Now().Unix()
	return nil
}

var le = binary.LittleEndian

func (d *dump) pass(_ *base, _ *netdev.Client, data []byte, _ bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f == nil {
		return false
	}
	us := clock.Virtual.Now() / 1000
	n := min(len(data), int(d.maxLen))
	r := le.AppendUint32(nil, uint32(us/1000000+d.start))
	r = le.AppendUint32(r, uint32(us%1000000))
	r = le.AppendUint32(le.AppendUint32(r, uint32(n)), uint32(len(data)))
	if _, err := d.f.Write(append(r, data[:n]...)); err != nil { // a full disk: what follows would be garbage
		_ = d.f.Close()
		d.f = nil
	}
	return false
}

func (d *dump) close(*base) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.f != nil {
		_ = d.f.Close()
		d.f = nil
	}
}

func (d *dump) details() string { return fmt.Sprintf(",file=%s,maxlen=%d", d.file, d.maxLen) }
