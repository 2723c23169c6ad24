package blockcmd

import (
	"context"
	"slices"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/mainloop"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// seen tells whether a backend is a disk of the guest's or the user's.
func seen(b *block.Backend) bool { return b.Name() != "" || b.AttachedDevice() != nil }

// QueryBlock implements qapi.BlockCoreCommands.
func (s *Service) QueryBlock(ctx context.Context) ([]*qapi.BlockInfo, error) {
	mainloop.Lock.Lock() // of devices' trays
	defer mainloop.Lock.Unlock()
	s.Graph.Lock()
	defer s.Graph.Unlock()
	list := []*qapi.BlockInfo{}
	for _, b := range s.Graph.Backends() {
		if !seen(b) {
			continue
		}
		i, err := blockInfo(ctx, b)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// blockInfo describes a backend.
func blockInfo(ctx context.Context, b *block.Backend) (*qapi.BlockInfo, error) {
	i := &qapi.BlockInfo{Device: b.Name(), Type: "unknown", Locked: b.MediumLocked(), Removable: b.Removable()}
	if d := b.AttachedDevice(); d != nil && d.Name != "" {
		i.Qdev = &d.Name
	}
	if b.HasTray() {
		i.TrayOpen = some(b.TrayOpen())
	}
	if b.IOStatusEnabled() {
		i.IoStatus = some(qapi.BlockDeviceIoStatus(b.IOStatus()))
	}
	if n := b.Node().SkipImplicit(); n != nil {
		var err error
		if i.Inserted, err = deviceInfo(ctx, b, n, false); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// QueryNamedBlockNodes implements qapi.BlockCoreCommands.
func (s *Service) QueryNamedBlockNodes(ctx context.Context, a *qapi.QueryNamedBlockNodesArg) ([]*qapi.BlockDeviceInfo, error) {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	nodes := s.Graph.Nodes()
	list := make([]*qapi.BlockDeviceInfo, 0, len(nodes))
	for k := len(nodes) - 1; k >= 0; k-- { // the newest first
		i, err := deviceInfo(ctx, nil, nodes[k], deref(a.Flat, false))
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// deviceInfo describes a node, and the limits of the backend through which it is seen, if any. flat leaves backing files out.
func deviceInfo(ctx context.Context, b *block.Backend, n *block.Node, flat bool) (*qapi.BlockDeviceInfo, error) {
	n.RefreshFilename()
	m := n.Mode()
	i := &qapi.BlockDeviceInfo{
		File: n.Filename(), NodeName: some(n.Name()), Ro: n.ReadOnly(), Drv: n.DriverName(),
		Cache:          &qapi.BlockdevCacheInfo{Writeback: b == nil || b.WriteCache(), Direct: m.Direct, NoFlush: m.NoFlush},
		DetectZeroes:   qapi.BlockdevDetectZeroesOptions(m.DetectZeroes.String()),
		WriteThreshold: n.WriteThreshold(), Encrypted: img.Encrypted(n),
		DirtyBitmaps: bitmapInfos(n),
	}
	if c := n.COWChild(); c != nil {
		i.BackingFile = some(c.Node().Filename())
	}
	if b != nil && b.Throttle() != nil {
		throttleInfo(i, b.Throttle())
	}
	to := &i.Image
	for {
		image, err := imageInfo(ctx, n)
		if err != nil {
			return nil, err
		}
		*to = image
		next := below(n)
		if flat || next == nil {
			return i, nil
		}
		i.BackingFileDepth++
		if n = next; b != nil {
			n = n.SkipImplicit()
		}
		to = &image.BackingImage
	}
}

// bitmapInfos describes a node's bitmaps.
func bitmapInfos(n *block.Node) (list []*qapi.BlockDirtyInfo) {
	for _, b := range n.BitmapInfos() {
		i := &qapi.BlockDirtyInfo{Count: b.Count, Granularity: uint32(b.Granularity), Recording: b.Recording, Busy: b.State.Busy, Persistent: b.State.Persistent}
		if b.Name != "" {
			i.Name = some(b.Name)
		}
		if b.State.Inconsistent {
			i.Inconsistent = some(true)
		}
		list = append(list, i)
	}
	return list
}

// imageInfo describes the image of a node, without its backing file.
func imageInfo(ctx context.Context, n *block.Node) (*qapi.ImageInfo, error) {
	q, err := img.QueryInfo(ctx, n)
	if err != nil {
		return nil, err
	}
	i := &qapi.ImageInfo{Filename: q.Filename, Format: q.Format, VirtualSize: q.VirtualSize, FormatSpecific: specificInfo(q.Specific)}
	if q.ActualSize >= 0 {
		i.ActualSize = &q.ActualSize
	}
	if q.HasDirty {
		i.DirtyFlag = &q.Dirty
	}
	if q.Encrypted {
		i.Encrypted = some(true)
	}
	if q.ClusterSize != 0 {
		i.ClusterSize = &q.ClusterSize
	}
	for _, x := range []struct {
		name string
		to   **string
	}{{q.Backing, &i.BackingFilename}, {q.FullBacking, &i.FullBackingFilename}, {q.BackingFormat, &i.BackingFilenameFormat}} {
		if x.name != "" {
			*x.to = some(x.name)
		}
	}
	for _, sn := range q.Snapshots {
		i.Snapshots = append(i.Snapshots, snapshotInfo(&sn))
	}
	return i, nil
}

// second is the number of nanoseconds in one.
const second = 1e9

func snapshotInfo(sn *block.Snapshot) *qapi.SnapshotInfo {
	i := &qapi.SnapshotInfo{
		Id: sn.ID, Name: sn.Name, VmStateSize: int64(sn.VMStateSize), DateSec: sn.Date.Unix(), DateNsec: int64(sn.Date.Nanosecond()),
		VmClockSec: int64(sn.VMClock / second), VmClockNsec: int64(sn.VMClock % second),
	}
	if sn.ICount >= 0 {
		i.Icount = &sn.ICount
	}
	return i
}

// member finds a member of an ordered object.
func member[T any](list []block.Member, name string) *T {
	for _, m := range list {
		if m.Name == name {
			if v, ok := m.Value.(T); ok {
				return &v
			}
		}
	}
	return nil
}

// specificInfo is what a format tells about its image: type and data.
func specificInfo(m []block.Member) *qapi.ImageInfoSpecific {
	kind, data := member[string](m, "type"), member[[]block.Member](m, "data")
	if kind == nil || data == nil {
		return nil
	}
	d := *data
	switch qapi.ImageInfoSpecificKind(*kind) {
	case qapi.ImageInfoSpecificKindLuks:
		return &qapi.ImageInfoSpecific{Type: qapi.ImageInfoSpecificKindLuks, Luks: &qapi.ImageInfoSpecificLUKSWrapper{Data: luksInfo(d)}}
	case qapi.ImageInfoSpecificKindQcow2:
	default:
		return nil
	}
	q := &qapi.ImageInfoSpecificQCow2{
		Compat: deref(member[string](d, "compat"), ""), DataFile: member[string](d, "data-file"), DataFileRaw: member[bool](d, "data-file-raw"),
		ExtendedL2: member[bool](d, "extended-l2"), LazyRefcounts: member[bool](d, "lazy-refcounts"), Corrupt: member[bool](d, "corrupt"),
		RefcountBits: deref(member[int64](d, "refcount-bits"), 0), CompressionType: qapi.Qcow2CompressionType(deref(member[string](d, "compression-type"), "")),
	}
	if e := member[[]block.Member](d, "encrypt"); e != nil {
		q.Encrypt = &qapi.ImageInfoSpecificQCow2Encryption{Format: qapi.BlockdevQcow2EncryptionFormat(deref(member[string](*e, "format"), ""))}
		if q.Encrypt.Format == qapi.BlockdevQcow2EncryptionFormatLuks {
			q.Encrypt.Luks = luksInfo(*e)
		}
	}
	for _, e := range deref(member[[]any](d, "bitmaps"), nil) {
		b, _ := e.([]block.Member)
		i := &qapi.Qcow2BitmapInfo{Name: deref(member[string](b, "name"), ""), Granularity: uint32(deref(member[int64](b, "granularity"), 0)), Flags: []qapi.Qcow2BitmapInfoFlags{}}
		for _, f := range deref(member[[]any](b, "flags"), nil) {
			name, _ := f.(string)
			i.Flags = append(i.Flags, qapi.Qcow2BitmapInfoFlags(name))
		}
		q.Bitmaps = append(q.Bitmaps, i)
	}
	return &qapi.ImageInfoSpecific{Type: qapi.ImageInfoSpecificKindQcow2, Qcow2: &qapi.ImageInfoSpecificQCow2Wrapper{Data: q}}
}

// luksInfo describes an encrypted disk.
func luksInfo(d []block.Member) *qapi.QCryptoBlockInfoLUKS {
	q := &qapi.QCryptoBlockInfoLUKS{
		CipherAlg: qapi.QCryptoCipherAlgorithm(deref(member[string](d, "cipher-alg"), "")), CipherMode: qapi.QCryptoCipherMode(deref(member[string](d, "cipher-mode"), "")),
		IvgenAlg: qapi.QCryptoIVGenAlgorithm(deref(member[string](d, "ivgen-alg"), "")), HashAlg: qapi.QCryptoHashAlgorithm(deref(member[string](d, "hash-alg"), "")),
		PayloadOffset: deref(member[int64](d, "payload-offset"), 0), MasterKeyIters: deref(member[int64](d, "master-key-iters"), 0), Uuid: deref(member[string](d, "uuid"), ""),
	}
	if h := member[string](d, "ivgen-hash-alg"); h != nil {
		q.IvgenHashAlg = some(qapi.QCryptoHashAlgorithm(*h))
	}
	for _, e := range deref(member[[]any](d, "slots"), nil) {
		s, _ := e.([]block.Member)
		q.Slots = append(q.Slots, &qapi.QCryptoBlockInfoLUKSSlot{Active: deref(member[bool](s, "active"), false), Iters: member[int64](s, "iters"),
			Stripes: member[int64](s, "stripes"), KeyOffset: deref(member[int64](s, "key-offset"), 0)})
	}
	return q
}

// XDebugQueryBlockGraph implements qapi.BlockCoreCommands.
func (s *Service) XDebugQueryBlockGraph(context.Context) (*qapi.XDbgBlockGraph, error) {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	g := &graphDump{numbers: map[any]uint64{}}
	for _, b := range s.Graph.Backends() {
		name := b.Name()
		if d := b.AttachedDevice(); name == "" && d != nil {
			name = d.Name
		}
		g.node(b, qapi.XDbgBlockGraphNodeTypeBlockBackend, name)
		if c := b.Root(); c != nil {
			g.edge(b, c)
		}
	}
	for _, j := range s.Jobs.Block() {
		g.node(j, qapi.XDbgBlockGraphNodeTypeBlockJob, j.ID())
		for _, c := range j.Edges() {
			g.edge(j, c)
		}
	}
	for _, n := range s.Graph.Nodes() {
		g.node(n, qapi.XDbgBlockGraphNodeTypeBlockDriver, n.Name())
		for _, c := range slices.Backward(n.Children()) {
			g.edge(n, c)
		}
	}
	return &qapi.XDbgBlockGraph{Nodes: g.nodes, Edges: g.edges}, nil
}

// graphDump collects the graph; both lists are in reverse order.
type graphDump struct {
	numbers map[any]uint64
	nodes   []*qapi.XDbgBlockGraphNode
	edges   []*qapi.XDbgBlockGraphEdge
}

// number is what stands for a vertex.
func (g *graphDump) number(v any) uint64 {
	if g.numbers[v] == 0 {
		g.numbers[v] = uint64(len(g.numbers) + 1)
	}
	return g.numbers[v]
}

func (g *graphDump) node(v any, kind qapi.XDbgBlockGraphNodeType, name string) {
	n := &qapi.XDbgBlockGraphNode{Id: g.number(v), Type: kind, Name: name}
	g.nodes = append([]*qapi.XDbgBlockGraphNode{n}, g.nodes...)
}

func (g *graphDump) edge(parent any, c *block.Child) {
	e := &qapi.XDbgBlockGraphEdge{Parent: g.number(parent), Child: g.number(c.Node()), Name: c.Name(), Perm: permissions(c.Perm()), SharedPerm: permissions(c.Shared())}
	g.edges = append([]*qapi.XDbgBlockGraphEdge{e}, g.edges...)
}

// permissions lists a set of permissions from the last to the first.
func permissions(p block.Perm) []qapi.BlockPermission {
	list := []qapi.BlockPermission{}
	for _, x := range []struct {
		bit  block.Perm
		name qapi.BlockPermission
	}{
		{block.PermResize, qapi.BlockPermissionResize}, {block.PermWriteUnchanged, qapi.BlockPermissionWriteUnchanged},
		{block.PermWrite, qapi.BlockPermissionWrite}, {block.PermConsistentRead, qapi.BlockPermissionConsistentRead},
	} {
		if p&x.bit != 0 {
			list = append(list, x.name)
		}
	}
	return list
}

// BlockSetWriteThreshold implements qapi.BlockCoreCommands.
func (s *Service) BlockSetWriteThreshold(_ context.Context, a *qapi.BlockSetWriteThresholdArg) error {
	return s.locked(func() error {
		n := s.Graph.Find(a.NodeName)
		if n == nil {
			return block.Errorf(unix.ENOENT, "Device '%s' not found", a.NodeName)
		}
		n.SetWriteThreshold(int64(a.WriteThreshold), func(exceeded int64) {
			s.Emit(&qapi.BlockWriteThresholdEvent{NodeName: n.Name(), AmountExceeded: uint64(exceeded), WriteThreshold: a.WriteThreshold})
		})
		return nil
	})
}
