package chaos

import (
	"cmp"
	"math"
	"slices"
)

// Quantile returns the value below which the share q of all values lies, by the
// nearest rank: always one that was measured. It is 0 of none.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Summary is what faults of one kind came to. Times are in milliseconds.
type Summary struct {
	Kind        Kind    `json:"kind"`
	Faults      int     `json:"faults"`
	Detected    int     `json:"detected"`
	DetectP50   float64 `json:"detect_p50_ms"`
	DetectP99   float64 `json:"detect_p99_ms"`
	Recovered   int     `json:"recovered"`
	RecoveryP50 float64 `json:"next_step_p50_ms"`
	RecoveryP99 float64 `json:"next_step_p99_ms"`
	StillP50    float64 `json:"still_p50_ms"`
	StillP99    float64 `json:"still_p99_ms"`
}

// Summarize returns a summary of each kind, in the order of Kinds.
func Summarize(records []Record) []Summary {
	var out []Summary
	for _, k := range kinds {
		s := Summary{Kind: k.kind}
		var detect, recover, still []float64
		for _, r := range records {
			if r.Kind != k.kind {
				continue
			}
			s.Faults++
			if r.StillMS > 0 {
				still = append(still, r.StillMS)
			}
			if r.DetectMS != nil {
				detect = append(detect, *r.DetectMS)
			}
			if r.NextStepMS != nil {
				recover = append(recover, *r.NextStepMS)
			}
		}
		if s.Faults == 0 {
			continue
		}
		s.Detected, s.DetectP50, s.DetectP99 = len(detect), Quantile(detect, 0.5), Quantile(detect, 0.99)
		s.Recovered, s.RecoveryP50, s.RecoveryP99 = len(recover), Quantile(recover, 0.5), Quantile(recover, 0.99)
		s.StillP50, s.StillP99 = Quantile(still, 0.5), Quantile(still, 0.99)
		out = append(out, s)
	}
	return out
}
