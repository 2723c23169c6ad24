package machinecmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"goemu/accel"
	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// QueryStats implements qapi.StatsCommands.
func (s *Service) QueryStats(_ context.Context, f *qapi.StatsFilter) (list []*qapi.StatsResult, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	if t.Stats == nil {
		return nil, nil
	}
	requests := f.Providers
	if requests == nil {
		requests = []*qapi.StatsRequest{{Provider: qapi.StatsProviderKvm}}
	}
	t.Stopped(func() {
		for _, r := range requests {
			var found []*qapi.StatsResult
			if found, err = t.stats(f, r); err != nil {
				return
			}
			list = append(list, found...)
		}
	})
	if err != nil {
		return nil, qapi.Errorf("%v", err)
	}
	slices.Reverse(list) // as all lists of statistics: QEMU puts what it finds at their heads
	return list, nil
}

// stats finds what was asked for of a provider. Preconditions: no CPU executes.
func (t *Target) stats(f *qapi.StatsFilter, r *qapi.StatsRequest) (list []*qapi.StatsResult, err error) {
	add := func(cpu int, path *string) error {
		stats, err := t.Stats(cpu)
		if err != nil {
			return err
		}
		result := &qapi.StatsResult{Provider: qapi.StatsProviderKvm, QomPath: path}
		for _, st := range slices.Backward(stats) {
			if r.Names == nil || slices.Contains(r.Names, st.Name) {
				result.Stats = append(result.Stats, &qapi.Stats{Name: st.Name, Value: statValue(st)})
			}
		}
		if result.Stats != nil {
			list = append(list, result)
		}
		return nil
	}
	if f.Target == qapi.StatsTargetVm {
		return list, add(-1, nil)
	}
	for i, c := range t.CPUs {
		if f.Vcpu == nil || f.Vcpu.Vcpus == nil || slices.Contains(f.Vcpu.Vcpus, t.Paths[i]) {
			if err := add(c.Index(), &t.Paths[i]); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// statValue is a statistic's value; of a histogram the last range comes first, as in QEMU 7.2.
func statValue(s accel.Stat) *qapi.StatsValue {
	switch {
	case s.Unit == accel.StatBoolean:
		b := s.Values[0] != 0
		return &qapi.StatsValue{Boolean: &b}
	case len(s.Values) == 1:
		return &qapi.StatsValue{Scalar: &s.Values[0]}
	}
	v := &qapi.StatsValue{List: slices.Clone(s.Values)}
	slices.Reverse(v.List)
	return v
}

// QueryStatsSchemas implements qapi.StatsCommands.
func (s *Service) QueryStatsSchemas(context.Context, *qapi.QueryStatsSchemasArg) (list []*qapi.StatsSchema, err error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	if t.Stats == nil {
		return nil, nil
	}
	t.Stopped(func() {
		if len(t.CPUs) > 0 {
			err = t.addStatsSchema(&list, qapi.StatsTargetVcpu, t.CPUs[0].Index())
		}
		if err == nil {
			err = t.addStatsSchema(&list, qapi.StatsTargetVm, -1)
		}
	})
	if err != nil {
		return nil, qapi.Errorf("%v", err)
	}
	return list, nil
}

// addStatsSchema describes the statistics of a CPU, or of the machine (-1). Preconditions: no CPU executes.
func (t *Target) addStatsSchema(list *[]*qapi.StatsSchema, target qapi.StatsTarget, cpu int) error {
	stats, err := t.Stats(cpu)
	if err != nil {
		return err
	}
	schema := &qapi.StatsSchema{Provider: qapi.StatsProviderKvm, Target: target}
	for _, st := range slices.Backward(stats) {
		v := &qapi.StatsSchemaValue{Name: st.Name, Type: qapi.StatsType(st.Type), Exponent: st.Exponent}
		if st.Unit != "" {
			unit := qapi.StatsUnit(st.Unit)
			v.Unit = &unit
		}
		if st.Exponent != 0 {
			v.Base = &st.Base
		}
		if st.Type == accel.StatLinearHistogram {
			v.BucketSize = &st.BucketSize
		}
		schema.Stats = append(schema.Stats, v)
	}
	*list = append(*list, schema)
	return nil
}

// infoStats is "info stats TARGET [NAMES [PROVIDER]]": those of the machine or of the monitor's CPU.
func (s *Service) infoStats(m *hmp.Monitor, a *hmp.Args) error {
	target := qapi.StatsTarget(a.Text("target"))
	if target != qapi.StatsTargetVm && target != qapi.StatsTargetVcpu {
		m.Printf("invalid stats target %s\n", target)
		return nil
	}
	f := &qapi.StatsFilter{Target: target}
	provider := qapi.StatsProvider(a.Text("provider"))
	if a.Has("provider") && provider != qapi.StatsProviderKvm {
		m.Printf("invalid stats provider %s\n", provider)
		return nil
	}
	if target == qapi.StatsTargetVcpu {
		f.Vcpu = &qapi.StatsVCPUFilter{Vcpus: []string{s.cpuPath(m.CPU)}}
	}
	if names := a.Text("names"); names != "" && names != "*" {
		f.Providers = []*qapi.StatsRequest{{Provider: qapi.StatsProviderKvm, Names: strings.Split(names, ",")}}
	}
	schemas, err := s.QueryStatsSchemas(m.Context(), &qapi.QueryStatsSchemasArg{})
	if err != nil {
		return err
	}
	list, err := s.QueryStats(m.Context(), f)
	if err != nil {
		return err
	}
	for _, r := range list {
		if !a.Has("provider") {
			m.Printf("provider: %s\n", r.Provider)
		}
		for _, st := range r.Stats {
			if v := findStat(schemas, target, st.Name); v != nil {
				m.Printf("    %s (%s): %s\n", st.Name, statKind(v), statText(st.Value))
			}
		}
	}
	return nil
}

// cpuPath is a CPU's place in the tree of objects, "" if it is not there.
func (s *Service) cpuPath(index int) string {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	t := s.Machine()
	if at := t.cpu(index); at >= 0 {
		return t.Paths[at]
	}
	return ""
}

func findStat(schemas []*qapi.StatsSchema, target qapi.StatsTarget, name string) *qapi.StatsSchemaValue {
	for _, s := range schemas {
		if s.Target == target {
			for _, v := range s.Stats {
				if v.Name == name {
					return v
				}
			}
		}
	}
	return nil
}

// Prefixes of units, by the exponent divided by 3 or 10.
var (
	decimalPrefixes = map[int16]string{-6: "a", -5: "f", -4: "p", -3: "n", -2: "u", -1: "m", 0: "", 1: "K", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}
	binaryPrefixes  = map[int16]string{0: "", 1: "Ki", 2: "Mi", 3: "Gi", 4: "Ti", 5: "Pi", 6: "Ei"}
	unitSymbols     = map[qapi.StatsUnit]string{qapi.StatsUnitSeconds: "s", qapi.StatsUnitBytes: "B"}
)

// statKind says what a statistic is: "log2-histogram, ns".
func statKind(v *qapi.StatsSchemaValue) string {
	var unit, symbol string
	if v.Unit != nil {
		unit, symbol = string(*v.Unit), unitSymbols[*v.Unit]
	}
	text, prefix, ok := string(v.Type), "", false
	switch {
	case v.Unit == nil && v.Exponent == 0:
		return text + bucketText(v)
	case symbol == "" || v.Base == nil:
	case *v.Base == 10 && v.Exponent%3 == 0:
		prefix, ok = decimalPrefixes[v.Exponent/3]
	case *v.Base == 2 && v.Exponent%10 == 0:
		prefix, ok = binaryPrefixes[v.Exponent/10]
	}
	switch {
	case ok || symbol != "" && v.Exponent == 0:
		text += ", " + prefix + symbol
	case v.Exponent != 0:
		text += strings.TrimRight(fmt.Sprintf(", * %d^%d %s", *v.Base, v.Exponent, unit), " ")
	default:
		text += ", " + unit
	}
	return text + bucketText(v)
}

func bucketText(v *qapi.StatsSchemaValue) string {
	if v.BucketSize == nil {
		return ""
	}
	return fmt.Sprintf(", bucket size=%d", *v.BucketSize)
}

func statText(v *qapi.StatsValue) string {
	switch {
	case v.Scalar != nil:
		return fmt.Sprint(int64(*v.Scalar))
	case v.Boolean != nil && *v.Boolean:
		return "yes"
	case v.Boolean != nil:
		return "no"
	}
	var b strings.Builder
	for i, n := range v.List {
		fmt.Fprintf(&b, "[%d]=%d ", i+1, int64(n))
	}
	return b.String()
}
