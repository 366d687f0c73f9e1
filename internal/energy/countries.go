package energy

import (
	"maps"
	"slices"
)

// World is the name under which the table holds the world's mean.
const World = "WORLD"

type grid struct {
	grams float64 // CO2e a kWh, lifecycle
	year  int
}

// grids are the mean intensities of electricity generation, lifecycle emissions,
// in g CO2e/kWh. Data: Ember, yearly electricity data (ember-energy.org), under
// the licence CC BY-SA 4.0, which also holds for this table.
var grids = map[string]grid{
	"ARE":   {468, 2024},
	"ARG":   {345, 2024},
	"AUS":   {554, 2024},
	"AUT":   {103, 2024},
	"BEL":   {118, 2024},
	"BGD":   {695, 2024},
	"BRA":   {106, 2024},
	"CAN":   {185, 2024},
	"CHE":   {37, 2024},
	"CHL":   {266, 2024},
	"CHN":   {558, 2024},
	"COL":   {286, 2024},
	"CZE":   {414, 2024},
	"DEU":   {342, 2024},
	"DNK":   {143, 2024},
	"EGY":   {574, 2024},
	"ESP":   {146, 2024},
	"EST":   {341, 2024},
	"EU":    {213, 2024},
	"FIN":   {72, 2024},
	"FRA":   {44, 2024},
	"GBR":   {216, 2024},
	"GRC":   {320, 2024},
	"HKG":   {682, 2023},
	"HUN":   {183, 2024},
	"IDN":   {682, 2023},
	"IND":   {709, 2024},
	"IRL":   {280, 2024},
	"ISL":   {28, 2023},
	"ISR":   {567, 2023},
	"ITA":   {288, 2024},
	"JPN":   {484, 2024},
	"KAZ":   {802, 2024},
	"KEN":   {85, 2024},
	"KOR":   {416, 2024},
	"LUX":   {135, 2024},
	"MEX":   {483, 2024},
	"MYS":   {604, 2024},
	"NGA":   {508, 2024},
	"NLD":   {253, 2024},
	"NOR":   {31, 2024},
	"NZL":   {120, 2024},
	"PAK":   {399, 2024},
	"PHL":   {613, 2024},
	"POL":   {615, 2024},
	"PRT":   {112, 2024},
	"QAT":   {603, 2024},
	"ROU":   {246, 2024},
	"RUS":   {446, 2024},
	"SAU":   {692, 2024},
	"SGP":   {499, 2024},
	"SWE":   {36, 2024},
	"THA":   {555, 2024},
	"TUR":   {470, 2024},
	"TWN":   {635, 2024},
	"UKR":   {250, 2022},
	"USA":   {384, 2024},
	"VNM":   {486, 2024},
	"WORLD": {473, 2024},
	"ZAF":   {714, 2024},
}

// Countries lists the codes that NewFactor knows, sorted: ISO 3166-1 alpha-3, EU
// and WORLD.
func Countries() []string { return slices.Sorted(maps.Keys(grids)) }
