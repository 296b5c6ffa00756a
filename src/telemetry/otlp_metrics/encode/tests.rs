use super::*;
use crate::telemetry::TraceId;
use std::time::Duration;

const PAGE: &str = "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_sum{step=\"x\"} 0.5\n\
                    a_seconds_count{step=\"x\"} 3\na_seconds_bucket{le=\"0.1\",step=\"x\"} 1\n\
                    a_seconds_bucket{le=\"+Inf\",step=\"x\"} 3\na_seconds_sum{step=\"y\"} 0\n\
                    a_seconds_count{step=\"y\"} 0\na_seconds_bucket{le=\"0.1\",step=\"y\"} 0\n\
                    a_seconds_bucket{le=\"+Inf\",step=\"y\"} 0\n\
                    # HELP b B.\n# TYPE b counter\nb_total{route=\"/a\\\"} b\\\\\",x=\"\"} 7\n\
                    # HELP c C.\n# TYPE c info\nc_info{v=\"1\"} 1\n\
                    # HELP d_bytes D.\n# TYPE d_bytes gauge\nd_bytes 1.5\n# EOF\n";

fn metrics(latencies: &[(&str, &Latency)]) -> Vec<Metric> {
    let resource =
        Resource { attributes: vec![attribute("service.name", "clinch".to_owned())], ..Resource::default() };
    let times = Times { start: 1, now: 2 };
    let mut request = request(PAGE, latencies, &resource, times);
    let mut of_resource = request.resource_metrics.pop().unwrap();
    assert_eq!(of_resource.resource.unwrap().attributes, [attribute("service.name", "clinch".to_owned())]);
    of_resource.scope_metrics.pop().unwrap().metrics
}

#[test]
fn every_value_is_counted() {
    let times = Times { start: 1, now: 2 };
    assert_eq!(points(&request(PAGE, &[], &Resource::default(), times)), 5, "two histograms, and one each");
}

#[test]
fn every_family_is_a_metric() {
    let metrics = metrics(&[]);
    let names: Vec<_> = metrics.iter().map(|m| (m.name.as_str(), m.unit.as_str())).collect();
    assert_eq!(names, [("a_seconds", "s"), ("b_total", ""), ("c_info", ""), ("d_bytes", "By")]);
    let Some(metric::Data::Sum(sum)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
    assert!(sum.is_monotonic && sum.aggregation_temporality == AggregationTemporality::Cumulative as i32);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(7)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
    assert_eq!(
        point.attributes,
        [attribute("route", "/a\"} b\\".to_owned()), attribute("x", String::new())],
        "as they were before they were escaped"
    );
    let Some(metric::Data::Gauge(gauge)) = &metrics[3].data else { panic!("{:?}", metrics[3]) };
    assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(1.5)));
}

#[test]
fn buckets_count_what_is_in_them_only() {
    let latency = Latency::new(&[0.1]);
    latency.observe_traced(Duration::from_millis(400), Some(TraceId::of([0xab; 16])));
    let metrics = metrics(&[("a_seconds", &latency)]);
    let Some(metric::Data::Histogram(histogram)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
    let [x, y] = &histogram.data_points[..] else { panic!("{histogram:?}") };
    assert_eq!((&x.bucket_counts[..], &x.explicit_bounds[..]), (&[1, 2][..], &[0.1][..]));
    assert_eq!((x.count, x.sum), (3, Some(0.5)));
    assert_eq!(x.attributes, [attribute("step", "x".to_owned())]);
    assert_eq!((y.count, &y.bucket_counts[..]), (0, &[0, 0][..]));
    assert_eq!(x.exemplars[0].trace_id, [0xab; 16]);
    assert_eq!(x.exemplars[0].value, Some(exemplar::Value::AsDouble(0.4)));
}
