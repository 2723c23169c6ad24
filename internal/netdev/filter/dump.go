package filter

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"goemu/internal/clock"
	"goemu/internal/netdev"
	"goemu/internal/pcap"
	"goemu/internal/userobj"
)

// dumpLength is how much of a frame goes to the file unless maxlen says otherwise.
const dumpLength = 65536

// dump is the type filter-dump.
type dump struct {
	file   string
	maxLen uint64

	mu    sync.Mutex
	out   *pcap.File // guarded by mu
	start int64      // seconds of the host's clock when the guest's was zero
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
	if d.out, err = pcap.Start(f, pcap.Ethernet, uint32(d.maxLen)); err != nil {
		return fmt.Errorf("net dump write error: %s", netdev.Reason(err))
	}
	d.start = time.Now().Unix()
	return nil
}

func (d *dump) pass(_ *base, _ *netdev.Client, data []byte, _ bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out != nil {
		d.out.Add(clock.Virtual.Now()/1000+d.start*1000000, len(data), data[:min(len(data), int(d.maxLen))])
	}
	return false
}

func (d *dump) close(*base) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out != nil {
		d.out.Close()
		d.out = nil
	}
}

func (d *dump) details() string { return fmt.Sprintf(",file=%s,maxlen=%d", d.file, d.maxLen) }
