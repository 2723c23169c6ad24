// Package disk is what all models of disks and drives share, whatever bus they sit on: the options, their checks, the geometry and what is
// done about failed requests.
package disk

import (
	"errors"
	"fmt"

	"goemu/block"
	"goemu/hw/qdev"
)

// Limits of the block sizes.
const (
	minBlock = 512
	maxBlock = 2 << 20
)

// DefaultDiscardGrain stands for a discard granularity that the model chooses.
const DefaultDiscardGrain = 1<<32 - 1

// Props are the options of disks that can do something about errors of the host.
type Props struct {
	Options
	RError ErrorAction `prop:"rerror,default=auto" help:"Error handling policy, report/ignore/enospc/stop/auto"`
	WError ErrorAction `prop:"werror,default=auto" help:"Error handling policy, report/ignore/enospc/stop/auto"`
}

// Options are the options of every disk that firmware can start from by itself.
type Options struct {
	Backing
	BootIndex qdev.BootIndex `prop:"bootindex"`
}

// Backing are the options about a disk's drive.
type Backing struct {
	Drive *block.Source `prop:"drive" help:"Node name or ID of a block device to use as a backend"`

	BackendDefaults qdev.OnOffAuto `prop:"backend_defaults,default=auto" help:"on/off/auto"`

	LogicalBlock  qdev.Size      `prop:"logical_block_size,default=0" help:"A power of two between 512 B and 2 MiB"`
	PhysicalBlock qdev.Size      `prop:"physical_block_size,default=0" help:"A power of two between 512 B and 2 MiB"`
	MinIO         qdev.Size      `prop:"min_io_size,default=0"`
	OptIO         qdev.Size      `prop:"opt_io_size,default=0"`
	DiscardGrain  qdev.Size      `prop:"discard_granularity,default=4294967295"`
	WriteCache    qdev.OnOffAuto `prop:"write-cache,default=auto" help:"on/off/auto"`
	ShareRW       bool           `prop:"share-rw,default=false"`

	AccountInvalid qdev.OnOffAuto `prop:"account-invalid,default=auto" help:"on/off/auto"`
	AccountFailed  qdev.OnOffAuto `prop:"account-failed,default=auto" help:"on/off/auto"`
}

// Claim takes the drive for the device that user names in messages, with the permissions that the options ask for. resize says
// whether the device bears a medium that changes its length.
func (p *Backing) Claim(user string, readOnly, resize bool) (*block.Backend, error) {
	if p.Drive == nil {
		return nil, errors.New("drive property not set")
	}
	b, err := p.Drive.Claim(user)
	if err != nil {
		return nil, err
	}
	if err := p.request(b, readOnly || b.ReadOnly(), resize); err != nil {
		p.Drive.Release()
		return nil, err
	}
	switch p.WriteCache {
	case qdev.On:
		b.SetWriteCache(true)
	case qdev.Off:
		b.SetWriteCache(false)
	}
	invalid, failed := b.Stats.Accounting()
	b.Stats.Account(p.AccountInvalid.Or(invalid), p.AccountFailed.Or(failed))
	p.inherit(b)
	return b, nil
}

// inherit takes over what the drive's node is best accessed by, if the options ask for that.
func (p *Backing) inherit(b *block.Backend) {
	b.Graph().Lock()
	defer b.Graph().Unlock()
	if p.BackendDefaults != qdev.On || b.Node() == nil {
		return
	}
	l := b.Node().Limits()
	if p.OptIO == 0 {
		p.OptIO = qdev.Size(l.OptTransfer)
	}
	if p.DiscardGrain != DefaultDiscardGrain {
		return
	}
	switch {
	case l.DiscardAlign != 0:
		p.DiscardGrain = qdev.Size(l.DiscardAlign)
	case l.RequestAlign > 1:
		p.DiscardGrain = qdev.Size(l.RequestAlign)
	}
}

// Blank makes a drive without medium for a device that takes media and was given none; nil: users cannot reach such drives.
var Blank func() *block.Source

// ClaimRemovable is Claim for a device whose medium can be changed; media tells it of that. There may be no medium.
func (p *Backing) ClaimRemovable(user string, readOnly, resize bool, media block.Media) (*block.Backend, error) {
	if p.Drive == nil {
		if Blank == nil {
			return EmptyDrive(), nil
		}
		p.Drive = Blank()
	}
	b, err := p.Claim(user, readOnly, resize)
	if err != nil {
		return nil, err
	}
	b.Graph().Lock()
	defer b.Graph().Unlock()
	if d := b.AttachedDevice(); d != nil {
		d.Media = media
	}
	return b, nil
}

// EmptyDrive stands for a drive without medium.
func EmptyDrive() *block.Backend {
	g := block.NewGraph()
	g.Lock()
	defer g.Unlock()
	return g.NewBackend("", "", 0, block.PermAll)
}

// request asks for the permissions that the options mean.
func (p *Backing) request(b *block.Backend, readOnly, resize bool) error {
	b.Graph().Lock()
	defer b.Graph().Unlock()
	return b.SetPerm(p.permissions(readOnly, resize))
}

// permissions are what the options mean: what the device does, and what it lets others do.
func (p *Backing) permissions(readOnly, resize bool) (used, shared block.Perm) {
	used = block.PermConsistentRead
	if !readOnly {
		used |= block.PermWrite
	}
	shared = block.PermConsistentRead | block.PermWriteUnchanged
	if resize {
		shared |= block.PermResize
	}
	if p.ShareRW {
		shared |= block.PermWrite
	}
	return used, shared
}

// MediumChanged takes the permissions that the options mean for the medium that came, or gives them back for the one that went.
// Preconditions: the graph lock is held.
func (p *Backing) MediumChanged(b *block.Backend, loaded, resize bool) error {
	if !loaded {
		return b.SetPerm(0, block.PermAll)
	}
	return b.SetPerm(p.permissions(b.ReadOnly(), resize))
}

// CheckSizes checks the block sizes, in QEMU's order and words, and fills in their defaults.
func (p *Backing) CheckSizes() error {
	for _, s := range []struct {
		name string
		v    *qdev.Size
	}{{"logical_block_size", &p.LogicalBlock}, {"physical_block_size", &p.PhysicalBlock}} {
		switch n := uint64(*s.v); {
		case n == 0:
			*s.v = minBlock
		case n < minBlock || n > maxBlock:
			return fmt.Errorf("Property .%s doesn't take value %d (minimum: %d, maximum: %d)", s.name, n, minBlock, maxBlock)
		case n&(n-1) != 0:
			return fmt.Errorf("Property .%s doesn't take value '%d', it's not a power of 2", s.name, n)
		}
	}
	logical := p.LogicalBlock
	switch {
	case logical > p.PhysicalBlock:
		return errors.New("logical_block_size > physical_block_size not supported")
	case p.MinIO%logical != 0:
		return errors.New("min_io_size must be a multiple of logical_block_size")
	case p.MinIO/logical > 0xffff:
		return fmt.Errorf("min_io_size must not exceed %d logical blocks", 0xffff)
	case p.OptIO%logical != 0:
		return errors.New("opt_io_size must be a multiple of logical_block_size")
	case p.DiscardGrain != DefaultDiscardGrain && p.DiscardGrain%logical != 0:
		return errors.New("discard_granularity must be a multiple of logical_block_size")
	}
	return nil
}

// SetIOThread binds a device's medium, if it has one, to an iothread, or to none if the name is empty.
func SetIOThread(b *block.Backend, name string) error {
	if b == nil {
		return nil
	}
	g := b.Graph()
	g.Lock()
	defer g.Unlock()
	return b.SetIOContext(name)
}
