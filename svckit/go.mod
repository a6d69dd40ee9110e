module chatplatform.io/svckit

go 1.26.0
