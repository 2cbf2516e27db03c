// The tests of the chart have a module of their own, because they need programs that "make test-chart" builds, and a registry.
module github.com/embedded-user-operator/embedded-user-operator/test/chart

go 1.26.0

replace github.com/embedded-user-operator/embedded-user-operator => ../..

require github.com/embedded-user-operator/embedded-user-operator v0.0.0-00010101000000-000000000000
