module chatplatform.io/edge

go 1.26.0

require chatplatform.io/svckit v0.0.0

replace chatplatform.io/svckit => ../svckit
