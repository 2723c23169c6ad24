// Package luks is the driver of disks encrypted in the format LUKS, version 1: the header, and behind it the disk, sector by sector.
package luks

import (
	"context"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/luks"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "luks", OpensReading: true,
	Options: []block.Option{{Name: luks.OptKeySecret, Help: "ID of the secret that provides the keyslot passphrase"}},
	Probe: func(head []byte, _ string) int {
		if luks.Probe(head) {
			return 100
		}
		return 0
	},
	Open: open, Create: create, CreateNode: createNode, Measure: measure,
	CreateOptions: slices.Concat([]block.Option{{Name: "size", Type: block.OptSize, Help: "Virtual disk size"}}, luks.CreateOptions),
	AmendOptions:  luks.AmendOptions,
	StrongOptions: []string{luks.OptKeySecret},
}}

// maxPiece is how much is encrypted and decrypted at once, in memory of its own.
const maxPiece = 1 << 20

// image is the state of an open image.
type image struct {
	node     *block.Node
	file     *block.Child
	vol      *luks.Volume
	updating bool // the header is being written
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	file, err := n.OpenChild(ctx, o, "file", block.RoleData|block.RoleMetadata|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file}
	secret, _ := o.TakeString(luks.OptKeySecret)
	if im.vol, err = luks.Open(ctx, n.Graph(), file, "", secret, n.Mode().NoIO); err != nil {
		return nil, err
	}
	return im, nil
}

// Close implements block.Instance.
func (*image) Close() {}

// Encrypted implements block.Encrypter.
func (*image) Encrypted() bool { return true }

// Length implements block.Lengther.
func (im *image) Length(ctx context.Context) (int64, error) {
	n, err := im.file.Length(ctx)
	if err == nil && n < im.vol.Payload() {
		err = unix.EIO
	}
	return n - im.vol.Payload(), err
}

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = luks.SectorSize
	l.WriteFlags = block.FUA & im.file.Node().Limits().WriteFlags
	return nil
}

// pieces calls f for each part of a request, with memory for it.
func (im *image) pieces(off int64, iov [][]byte, f func(off int64, part [][]byte, b []byte) error) error {
	if im.vol.Cipher == nil {
		return unix.EIO // opened only to look at
	}
	b := block.AlignedBuffer(min(block.IovLen(iov), maxPiece))
	return block.IovPieces(off, maxPiece, iov, func(off int64, part [][]byte) error {
		return f(off, part, b[:block.IovLen(part)])
	})
}

// ReadV implements block.Reader. What is encrypted does not get into the guest's memory.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return im.pieces(off, iov, func(off int64, part [][]byte, b []byte) error {
		if err := im.file.Read(ctx, im.vol.Payload()+off, b); err != nil {
			return err
		}
		im.vol.Cipher.Decrypt(uint64(off)/luks.SectorSize, b)
		block.IovScatter(part, b)
		return nil
	})
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, fl block.Flags) error {
	return im.pieces(off, iov, func(off int64, part [][]byte, b []byte) error {
		block.IovGather(b, part)
		im.vol.Cipher.Encrypt(uint64(off)/luks.SectorSize, b)
		return im.file.Write(ctx, im.vol.Payload()+off, b, fl)
	})
}

// Truncate implements block.Truncater.
func (im *image) Truncate(ctx context.Context, n int64, exact bool, p block.Prealloc, zero bool) error {
	switch {
	case n > math.MaxInt64-im.vol.Payload():
		return block.Errorf(unix.EFBIG, "The requested file size is too large")
	case zero:
		return block.Errorf(unix.ENOTSUP, "Block driver does not support requested flags") // zeroes in the file are none here
	}
	return im.file.Truncate(ctx, n+im.vol.Payload(), exact, p, false)
}

// Info implements block.Informer.
func (im *image) Info() block.DriverInfo {
	i, _ := im.file.Node().Info()
	return block.DriverInfo{ClusterSize: i.ClusterSize}
}

// SpecificInfo implements block.SpecificInformer.
func (im *image) SpecificInfo(context.Context) ([]block.Member, error) {
	return []block.Member{{Name: "type", Value: "luks"}, {Name: "data", Value: im.vol.Info()}}, nil
}

// ChildPerm implements block.ChildPermer. The header changes only while passwords do, so the file is written and shared as users of
// the disk write and share that; meanwhile nobody else may look at it.
func (im *image) ChildPerm(_ *block.Child, role block.Role, perm, shared block.Perm) (block.Perm, block.Perm) {
	const own = block.PermWrite | block.PermResize
	nperm, nshared := im.node.DefaultPerm(role, perm, shared)
	nperm, nshared = nperm&^own|perm&own, nshared|shared&own
	if im.updating {
		nperm |= block.PermWrite
		nshared &^= block.PermConsistentRead | block.PermWrite
	}
	return nperm, nshared
}

// AmendBegin implements block.AmendBracketer: it works out the permissions for writing the header.
func (im *image) AmendBegin() error {
	im.updating = true
	err := im.node.Graph().RefreshPerms(im.node)
	im.updating = err == nil
	return err
}

// AmendEnd implements block.AmendBracketer.
func (im *image) AmendEnd() error {
	im.updating = false
	return im.node.Graph().RefreshPerms(im.node)
}

// Amend implements block.Amender.
func (im *image) Amend(ctx context.Context, o *block.Options, force bool, _ block.Progress) error {
	return im.vol.Amend(ctx, im.node.Graph(), im.file, o, "", force)
}

// ReopenPrepare implements block.Reopener; the secret stays.
func (im *image) ReopenPrepare(_ context.Context, o *block.Options, _ block.Mode) error {
	if v, ok := im.node.Options().Get(luks.OptKeySecret); ok {
		if now, same := o.Get(luks.OptKeySecret); same && now == v {
			o.Delete(luks.OptKeySecret)
		}
	}
	return nil
}

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}
