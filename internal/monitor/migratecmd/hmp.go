package migratecmd

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// HMP lists the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	commands, info = s.snapshotCommands()
	c, i := s.dirtyRateCommands()
	commands, info = append(commands, c...), append(info, i...)
	commands = append(commands,
		&hmp.Command{Name: "migrate", Args: "detach:-d,blk:-b,inc:-i,resume:-r,uri:s", Params: "[-d] [-b] [-i] [-r] uri",
			Help: "migrate to URI (using -d to not wait for completion)", Run: s.hmpMigrate},
		&hmp.Command{Name: "migrate_cancel", Help: "cancel the current VM migration", Run: func(m *hmp.Monitor, _ *hmp.Args) error { return s.MigrateCancel(m.Context()) }},
		&hmp.Command{Name: "migrate_continue", Args: "state:s", Params: "state", Help: "Continue migration from the given paused state", Run: s.hmpContinue},
		&hmp.Command{Name: "migrate_incoming", Args: "uri:s", Params: "uri", Help: "Continue an incoming migration from an -incoming defer",
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.MigrateIncoming(m.Context(), &qapi.MigrateIncomingArg{Uri: a.Text("uri")})
			}},
		&hmp.Command{Name: "migrate_start_postcopy", Help: "Let the dirty bitmaps of a migration follow when the destination runs already; for migrations with the " +
			"capability dirty-bitmaps",
			Run: func(m *hmp.Monitor, _ *hmp.Args) error { return s.MigrateStartPostcopy(m.Context()) }},
		&hmp.Command{Name: "migrate_set_capability", Args: "capability:s,state:b", Params: "capability state", Help: "Enable/Disable the usage of a capability for migration",
			Run: s.hmpSetCapability, Complete: names(valuesOf("MigrationCapability"), []string{"on", "off"})},
		&hmp.Command{Name: "migrate_set_parameter", Args: "parameter:s,value:s", Params: "parameter value", Help: "Set the parameter for migration",
			Run: s.hmpSetParameter, Complete: names(membersOf("MigrateSetParameters"))},
	)
	info = append(info,
		&hmp.Command{Name: "migrate", Help: "show migration status", Run: s.hmpInfo},
		&hmp.Command{Name: "migrate_capabilities", Help: "show current migration capabilities", Run: s.hmpCapabilities},
		&hmp.Command{Name: "migrate_parameters", Help: "show current migration parameters", Run: s.hmpParameters},
	)
	return commands, info
}

// names completes the words of a line from lists, the first for the word after the command.
func names(lists ...[]string) func(*hmp.Monitor, []string) []string {
	return func(_ *hmp.Monitor, words []string) []string {
		if n := len(words) - 2; n >= 0 && n < len(lists) {
			return lists[n]
		}
		return nil
	}
}

func valuesOf(enum string) (list []string) {
	for _, v := range qapi.FindType(enum).Values {
		list = append(list, v.Name)
	}
	return list
}

func membersOf(object string) (list []string) {
	for _, m := range qapi.FindType(object).Members {
		list = append(list, m.Name)
	}
	return list
}

// poll is how often a migration is looked at that a user waits for.
const poll = 100 * time.Millisecond

// hmpMigrate is the command migrate.
func (s *Service) hmpMigrate(m *hmp.Monitor, a *hmp.Args) error {
	blk, inc, resume := a.Bool("blk"), a.Bool("inc"), a.Bool("resume")
	if err := s.Migrate(m.Context(), &qapi.MigrateArg{Uri: a.Text("uri"), Blk: &blk, Inc: &inc, Resume: &resume}); err != nil || a.Bool("detach") {
		return err
	}
	if !m.Wait(func() { s.await(m) }) {
		m.Printf("terminal does not allow synchronous migration, continuing detached\n")
	}
	return nil
}

// await waits for the end of a migration.
func (s *Service) await(m *hmp.Monitor) {
	for m.Context().Err() == nil {
		i, err := s.QueryMigrate(m.Context())
		if err != nil {
			return
		}
		if i.Status != nil && *i.Status != qapi.MigrationStatusActive && *i.Status != qapi.MigrationStatusSetup {
			if i.ErrorDesc != nil {
				m.Printf("%s\n", *i.ErrorDesc)
			}
			return
		}
		time.Sleep(poll)
	}
}

func (s *Service) hmpContinue(m *hmp.Monitor, a *hmp.Args) error {
	state := a.Text("state")
	if !qapi.FindType("MigrationStatus").Accepts(state) {
		return errors.New("invalid parameter value: " + state)
	}
	return s.MigrateContinue(m.Context(), &qapi.MigrateContinueArg{State: qapi.MigrationStatus(state)})
}

func (s *Service) hmpSetCapability(m *hmp.Monitor, a *hmp.Args) error {
	name := a.Text("capability")
	if !qapi.FindType("MigrationCapability").Accepts(name) {
		return errors.New("invalid parameter value: " + name)
	}
	return s.MigrateSetCapabilities(m.Context(), &qapi.MigrateSetCapabilitiesArg{
		Capabilities: []*qapi.MigrationCapabilityStatus{{Capability: qapi.MigrationCapability(name), State: a.Bool("state")}}})
}

// hmpSetParameter is the command migrate_set_parameter: the schema tells the type of the value. max-bandwidth is in MiB without a unit.
func (s *Service) hmpSetParameter(m *hmp.Monitor, a *hmp.Args) error {
	name, text := a.Text("parameter"), a.Text("value")
	if !slices.Contains(membersOf("MigrateSetParameters"), name) {
		return errors.New("invalid parameter value: " + name)
	}
	if name == "block-bitmap-mapping" {
		return errors.New("The block-bitmap-mapping parameter can only be set through QMP")
	}
	if name == "max-bandwidth" && strings.Trim(text, "0123456789") == "" {
		text += "M"
	}
	o, err := qapi.FromOpts("MigrateSetParameters", [][2]string{{name, text}})
	if err != nil {
		return err
	}
	arg := new(qapi.MigrateSetParameters)
	if err := qapi.Decode("MigrateSetParameters", o, arg); err != nil {
		if name == "max-bandwidth" {
			return errors.New("Invalid size " + a.Text("value"))
		}
		return err
	}
	return s.MigrateSetParameters(m.Context(), arg)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func (s *Service) hmpCapabilities(m *hmp.Monitor, _ *hmp.Args) error {
	list, err := s.QueryMigrateCapabilities(m.Context())
	for _, c := range list {
		m.Printf("%s: %s\n", c.Capability, onOff(c.State))
	}
	return err
}

// parameterOrder is the order in which parameters are shown, with their units.
var parameterOrder = [][2]string{{"announce-initial", " ms"}, {"announce-max", " ms"}, {"announce-rounds", ""}, {"announce-step", " ms"}, {"compress-level", ""},
	{"compress-threads", ""}, {"compress-wait-thread", ""}, {"decompress-threads", ""}, {"throttle-trigger-threshold", ""}, {"cpu-throttle-initial", ""},
	{"cpu-throttle-increment", ""}, {"cpu-throttle-tailslow", ""}, {"max-cpu-throttle", ""}, {"tls-creds", ""}, {"tls-hostname", ""},
	{"max-bandwidth", " bytes/second"}, {"downtime-limit", " ms"}, {"x-checkpoint-delay", " ms"}, {"block-incremental", ""}, {"multifd-channels", ""},
	{"multifd-compression", ""}, {"xbzrle-cache-size", " bytes"}, {"max-postcopy-bandwidth", ""}, {"tls-authz", ""}}

func (s *Service) hmpParameters(m *hmp.Monitor, _ *hmp.Args) error {
	p, err := s.QueryMigrateParameters(m.Context())
	if err != nil {
		return err
	}
	v := reflect.ValueOf(p).Elem()
	byName := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if f := v.Field(i); f.Kind() == reflect.Pointer {
			byName[name] = f.Elem()
		}
	}
	for _, row := range parameterOrder {
		f, ok := byName[row[0]]
		if !ok {
			continue
		}
		switch x := f.Interface().(type) {
		case bool:
			m.Printf("%s: %s\n", row[0], onOff(x))
		case string:
			m.Printf("%s: '%s'\n", row[0], x)
		default:
			m.Printf("%s: %v%s\n", row[0], x, row[1])
		}
	}
	if p.BlockBitmapMapping != nil {
		m.Printf("block-bitmap-mapping:\n")
	}
	for _, n := range p.BlockBitmapMapping {
		m.Printf("  '%s' -> '%s'\n", n.NodeName, n.Alias)
		for _, b := range n.Bitmaps {
			m.Printf("    '%s' -> '%s'\n", b.Name, b.Alias)
		}
	}
	return nil
}

// hmpInfo is the command info migrate.
func (s *Service) hmpInfo(m *hmp.Monitor, _ *hmp.Args) error {
	i, err := s.QueryMigrate(m.Context())
	if err != nil {
		return err
	}
	for n, r := range i.BlockedReasons {
		if n == 0 {
			m.Printf("Outgoing migration blocked:\n")
		}
		m.Printf("  %s\n", r)
	}
	number := func(format string, v *int64) {
		if v != nil {
			m.Printf(format, *v)
		}
	}
	if i.Status != nil {
		m.Printf("Migration status: %s", *i.Status)
		if *i.Status == qapi.MigrationStatusFailed && i.ErrorDesc != nil {
			m.Printf(" (%s)", *i.ErrorDesc)
		}
		total := int64(0)
		if i.TotalTime != nil {
			total = *i.TotalTime
		}
		m.Printf("\ntotal time: %d ms\n", total)
		number("expected downtime: %d ms\n", i.ExpectedDowntime)
		number("downtime: %d ms\n", i.Downtime)
		number("setup: %d ms\n", i.SetupTime)
	}
	if i.Ram != nil {
		printRAM(m, i.Ram)
	}
	if x := i.XbzrleCache; x != nil {
		m.Printf("cache size: %d bytes\nxbzrle transferred: %d kbytes\nxbzrle pages: %d pages\nxbzrle cache miss: %d pages\n", x.CacheSize, x.Bytes>>10, x.Pages, x.CacheMiss)
		m.Printf("xbzrle cache miss rate: %0.2f\nxbzrle encoding rate: %0.2f\nxbzrle overflow: %d\n", x.CacheMissRate, x.EncodingRate, x.Overflow)
	}
	number("cpu throttle percentage: %d\n", i.CpuThrottlePercentage)
	for _, a := range i.SocketAddress {
		m.Printf("socket address: [\n\t%s\n]\n", uriOf(a))
	}
	return nil
}

// uriOf is an address as people write it.
func uriOf(a *qapi.SocketAddress) string {
	switch {
	case a.Unix != nil:
		return "unix:" + a.Unix.Path
	case a.Vsock != nil:
		return "tcp:" + a.Vsock.Cid + ":" + a.Vsock.Port // sic, as in QEMU
	}
	return "tcp:" + a.Inet.Host + ":" + a.Inet.Port
}

// kib is the number of bytes in a "kbyte".
const kib = 1024

func printRAM(m *hmp.Monitor, r *qapi.MigrationStats) {
	m.Printf("transferred ram: %d kbytes\nthroughput: %.2f mbps\nremaining ram: %d kbytes\ntotal ram: %d kbytes\n", r.Transferred/kib, r.Mbps, r.Remaining/kib, r.Total/kib)
	m.Printf("duplicate: %d pages\nskipped: %d pages\nnormal: %d pages\nnormal bytes: %d kbytes\ndirty sync count: %d\n", r.Duplicate, r.Skipped, r.Normal,
		r.NormalBytes/kib, r.DirtySyncCount)
	m.Printf("page size: %d kbytes\nmultifd bytes: %d kbytes\npages-per-second: %d\n", r.PageSize/kib, r.MultifdBytes/kib, r.PagesPerSecond)
	if r.DirtyPagesRate != 0 {
		m.Printf("dirty pages rate: %d pages\n", r.DirtyPagesRate)
	}
	if r.PrecopyBytes != 0 {
		m.Printf("precopy ram: %d kbytes\n", r.PrecopyBytes/kib)
	}
	if r.DowntimeBytes != 0 {
		m.Printf("downtime ram: %d kbytes\n", r.DowntimeBytes/kib)
	}
}
